//! Definitions, imports and uses of each module of a crate, read from its syntax. Test modules are left out.

use std::collections::HashMap;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::sources::Sources;

/// Index of a module in a [`Crate`].
pub type ModuleId = usize;

/// A path as it stands in the source: its segments and its line.
#[derive(Clone, Debug)]
pub struct Mention {
    /// Segments; `$crate` is written `crate`.
    pub segments: Vec<String>,
    /// Line, from 1.
    pub line: usize,
}

/// A `use` of one name.
#[derive(Clone, Debug)]
pub struct Import {
    /// Path of the thing imported.
    pub mention: Mention,
    /// Visible outside the module: a re-export.
    pub public: bool,
}

/// One module, in a file of its own or inline.
#[derive(Debug, Default)]
pub struct Module {
    /// Path from the crate's root; empty for the root.
    pub path: Vec<String>,
    /// File that holds it.
    pub file: String,
    /// Index of the module above; the root's own index for the root.
    pub parent: ModuleId,
    /// Index of the root.
    pub root: ModuleId,
    /// Names of items defined here.
    pub items: Vec<String>,
    /// Modules below.
    pub children: HashMap<String, ModuleId>,
    /// Imports, by the name that they bring in.
    pub imports: Vec<(String, Import)>,
    /// Imports of everything in a module.
    pub globs: Vec<Import>,
    /// Paths in expressions, types and macros.
    pub mentions: Vec<Mention>,
}

/// Modules of a package: the tree of `lib.rs`, that of `main.rs`, or both.
#[derive(Debug, Default)]
pub struct Crate {
    /// Every module; parents come before their children.
    pub modules: Vec<Module>,
    /// Root of the library, if there is one.
    pub library: Option<ModuleId>,
    /// Names that `macro_rules!` defines, with their files: they are found by the text's order or in the root.
    pub macros: HashMap<String, String>,
}

impl Crate {
    /// Reads the trees below `folder`, such as `src` or `host-train/src`.
    pub fn read(sources: &Sources, folder: &str) -> Self {
        let mut tree = Self::default();
        for (name, is_library) in [("lib.rs", true), ("main.rs", false)] {
            let file = format!("{folder}/{name}");
            if !sources.contains_key(&file) {
                continue;
            }
            let root = tree.modules.len();
            if is_library {
                tree.library = Some(root);
            }
            tree.modules.push(Module {
                file,
                parent: root,
                root,
                ..Module::default()
            });
            tree.read_file(sources, root);
        }
        assert!(
            !tree.modules.is_empty(),
            "{folder} holds neither lib.rs nor main.rs: name the crate's folder as it is"
        );
        tree
    }

    fn read_file(&mut self, sources: &Sources, module: ModuleId) {
        let file = self.modules[module].file.clone();
        let text = &sources[&file];
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file} does not parse: {error}"));
        Reader {
            tree: self,
            sources,
            module,
        }
        .visit_file(&syntax);
    }

    fn add_module(&mut self, parent: ModuleId, name: &str, file: String) -> ModuleId {
        let id = self.modules.len();
        let above = &self.modules[parent];
        let mut path = above.path.clone();
        path.push(name.into());
        let root = above.root;
        self.modules.push(Module {
            path,
            file,
            parent,
            root,
            ..Module::default()
        });
        self.modules[parent].children.insert(name.into(), id);
        id
    }
}

/// Walks one file and fills its modules in.
struct Reader<'a> {
    tree: &'a mut Crate,
    sources: &'a Sources,
    module: ModuleId,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        &mut self.tree.modules[self.module]
    }

    fn mention(&mut self, segments: Vec<String>, span: Span) {
        let line = span.start().line;
        self.module().mentions.push(Mention { segments, line });
    }

    fn define(&mut self, name: &syn::Ident) {
        self.module().items.push(name.to_string());
    }

    /// File of `mod name;`: the path of its attribute, or one of the two usual places.
    fn file_of(&self, item: &syn::ItemMod) -> String {
        let module = &self.tree.modules[self.module];
        let (folder, own) = module.file.rsplit_once('/').unwrap_or(("", &module.file));
        if let Some(path) = path_attribute(&item.attrs) {
            return format!("{folder}/{path}");
        }
        let below = match own {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => format!("{folder}/{}", own.trim_end_matches(".rs")),
        };
        let flat = format!("{below}/{}.rs", item.ident);
        if self.sources.contains_key(&flat) {
            flat
        } else {
            format!("{below}/{}/mod.rs", item.ident)
        }
    }

    fn import(&mut self, tree: &syn::UseTree, mut path: Vec<String>, public: bool) {
        let (name, last) = match tree {
            syn::UseTree::Path(step) => {
                path.push(step.ident.to_string());
                return self.import(&step.tree, path, public);
            }
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.import(item, path.clone(), public);
                }
                return;
            }
            syn::UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                let mention = Mention { segments: path, line };
                return self.module().globs.push(Import { mention, public });
            }
            syn::UseTree::Name(name) => (name.ident.clone(), name.ident.clone()),
            syn::UseTree::Rename(rename) => (rename.rename.clone(), rename.ident.clone()),
        };
        let line = last.span().start().line;
        if last != "self" {
            path.push(last.to_string());
        }
        let name = if name == "self" {
            path.last().cloned().unwrap_or_default()
        } else {
            name.to_string()
        };
        let mention = Mention { segments: path, line };
        self.module().imports.push((name, Import { mention, public }));
    }

    /// Paths in the tokens of a macro: `crate::a::b`, `$crate::a::b`, `name::a`, and single names that begin with a
    /// capital.
    fn tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<_> = tokens.into_iter().collect();
        let mut position = 0;
        while position < trees.len() {
            match &trees[position] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let follows = position > 0 && is_punct(&trees[position - 1], &[':', '.']);
                    let mut segments = vec![first.to_string()];
                    while let [colon, other, TokenTree::Ident(next), ..] = &trees[position + 1..] {
                        if !(is_punct(colon, &[':']) && is_punct(other, &[':'])) {
                            break;
                        }
                        segments.push(next.to_string());
                        position += 3;
                    }
                    if !follows && (segments.len() > 1 || is_capital(&segments[0])) {
                        self.mention(segments, first.span());
                    }
                }
                _ => {}
            }
            position += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (attributes, name) = attributes_and_name(item);
        if is_test(attributes) {
            return;
        }
        if let Some(name) = name {
            self.define(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let above = self.module;
        match &item.content {
            Some((_, items)) => {
                let file = self.module().file.clone();
                self.module = self.tree.add_module(above, &name, file);
                for item in items {
                    self.visit_item(item);
                }
                self.module = above;
            }
            None => {
                let file = self.file_of(item);
                // Made by a build script, or under a `cfg` of another place: nothing of it is in the repository.
                if self.sources.contains_key(&file) && !self.module().children.contains_key(&name) {
                    let id = self.tree.add_module(above, &name, file);
                    self.tree.read_file(self.sources, id);
                }
            }
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        if item.leading_colon.is_none() {
            self.import(&item.tree, Vec::new(), public);
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(name) = &item.ident {
            self.define(name);
            let file = self.module().file.clone();
            self.tree.macros.insert(name.to_string(), file);
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let test = match item {
            syn::ImplItem::Fn(function) => is_test(&function.attrs),
            _ => false,
        };
        if !test {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
            && !is_capital(&name.to_string())
        {
            self.mention(vec![name.to_string()], name.span());
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // A single small name is a variable as often as a function: functions are taken from calls.
        let counts = segments.len() > 1 || segments.first().is_some_and(|name| is_capital(name));
        if path.leading_colon.is_none() && counts {
            let span = path.segments[0].ident.span();
            self.mention(segments, span);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        match invocation.path.get_ident() {
            Some(name) => self.mention(vec!["crate".into(), name.to_string()], name.span()),
            None => self.visit_path(&invocation.path),
        }
        self.tokens(invocation.tokens.clone());
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

fn is_punct(tree: &TokenTree, characters: &[char]) -> bool {
    matches!(tree, TokenTree::Punct(punct) if characters.contains(&punct.as_char()))
}

fn is_capital(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

/// Returns true if an item is compiled for tests alone: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
            other => return other.path().is_ident("test"),
        };
        let has_test = condition
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == "test");
        condition == "test" || (condition.starts_with("all") && has_test)
    })
}

/// Attributes of an item, and the name that it defines in its module.
pub fn attributes_and_name(item: &syn::Item) -> (&[syn::Attribute], Option<&syn::Ident>) {
    use syn::Item;
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, None),
        Item::Mod(item) => (&item.attrs, None),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}
