//! Names that say too little or mean several things, British spellings in identifiers, and one name for two types
//! that modules share.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::findings::{Finding, expect_none};
use super::scopes::{attributes_and_name, is_test};
use super::sources::{self, Sources};

/// Functions: a verb says what one does.
const FUNCTIONS: [&str; 10] = [
    "of",
    "at",
    "made",
    "begun",
    "look",
    "told",
    "half",
    "ends",
    "suit",
    "until_in_vain",
];

/// Types: a noun says what one is.
const TYPES: [&str; 14] = [
    "Pass",
    "Meets",
    "Anything",
    "Alone",
    "Elsewhere",
    "Found",
    "Made",
    "Course",
    "Kind",
    "Study",
    "Shape",
    "Less",
    "Sight",
    "Worth",
];

/// Constants and statics.
const CONSTANTS: [&str; 5] = ["JUDGES", "WORTH", "SIGHT", "LESS", "ORIGIN"];

/// British stems and their American spelling, for names and for prose.
pub const SPELLINGS: [(&str, &str); 10] = [
    ("quantis", "quantiz"),
    ("optimis", "optimiz"),
    ("normalis", "normaliz"),
    ("initialis", "initializ"),
    ("serialis", "serializ"),
    ("discretis", "discretiz"),
    ("learnt", "learned"),
    ("colour", "color"),
    ("behaviour", "behavior"),
    ("neighbour", "neighbor"),
];

/// Names that several modules of one crate may define: `Args` is always written with its command, as in
/// `demo::Args`, and of the kernels' `Prepared` only one is compiled.
const SHARED: [&str; 2] = ["Args", "Prepared"];

/// Files that name the names.
const LISTS: [&str; 2] = ["tests/tidy/phrases.rs", "tests/tidy/names.rs"];

/// Folder that a crate's shared types are counted in; none for tests and benches.
fn crate_of(path: &str) -> Option<&str> {
    let end = path.find("src/")? + "src/".len();
    Some(&path[..end])
}

fn check(sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut types = BTreeMap::<(String, String), Vec<(String, usize)>>::new();
    for (path, text, syntax) in sources::parsed(sources).filter(|(path, ..)| !LISTS.contains(path)) {
        let mut names = Names {
            path,
            findings: Vec::new(),
            types: Vec::new(),
            in_tests: false,
        };
        names.visit_file(&syntax);
        findings.append(&mut names.findings);
        if let Some(folder) = crate_of(path) {
            for (name, line) in names.types {
                types
                    .entry((folder.into(), name))
                    .or_default()
                    .push((path.into(), line));
            }
        }
        findings.extend(british(path, text));
    }
    for ((_, name), places) in types {
        // One file may define a type for each of several configurations.
        let files: BTreeSet<_> = places.iter().map(|(file, _)| file).collect();
        if files.len() > 1 && !SHARED.contains(&name.as_str()) {
            let list: Vec<_> = files.iter().map(|file| file.as_str()).collect();
            let message = format!("type {name} is defined in {}: one name for one thing", list.join(", "));
            findings.push(Finding::new(&places[0].0, places[0].1, message));
        }
    }
    findings
}

/// The first identifier of each British spelling in a file, and the file's own name.
fn british(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let mut look_up = |name: &str, line: usize| {
        let small = name.to_lowercase();
        for (stem, better) in SPELLINGS {
            if small.contains(stem) && seen.insert(name.to_owned()) {
                let message = format!(
                    "{name}: American spelling in identifiers, {}",
                    small.replace(stem, better)
                );
                findings.push(Finding::new(path, line, message));
            }
        }
    };
    look_up(path, 1);
    let tokens: TokenStream = text.parse().expect("the file has been parsed before");
    each_identifier(tokens, &mut |name| look_up(&name.to_string(), name.span().start().line));
    findings
}

fn each_identifier(tokens: TokenStream, action: &mut impl FnMut(&Ident)) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => each_identifier(group.stream(), action),
            TokenTree::Ident(name) => action(&name),
            _ => {}
        }
    }
}

struct Names<'a> {
    path: &'a str,
    findings: Vec<Finding>,
    types: Vec<(String, usize)>,
    in_tests: bool,
}

impl Names<'_> {
    fn hold(&mut self, name: &Ident, list: &[&str], remedy: &str) {
        if list.contains(&name.to_string().as_str()) {
            let message = format!("{name}: {remedy}");
            self.findings
                .push(Finding::new(self.path, name.span().start().line, message));
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let around = self.in_tests;
        self.in_tests |= is_test(attributes_and_name(item).0);
        let type_name = match item {
            syn::Item::Struct(item) => Some((&item.ident, &item.vis)),
            syn::Item::Enum(item) => Some((&item.ident, &item.vis)),
            syn::Item::Union(item) => Some((&item.ident, &item.vis)),
            syn::Item::Trait(item) => Some((&item.ident, &item.vis)),
            syn::Item::Type(item) => Some((&item.ident, &item.vis)),
            _ => None,
        };
        if let Some((name, visibility)) = type_name {
            self.hold(name, &TYPES, "name the type by a noun that says what it is");
            if !matches!(visibility, syn::Visibility::Inherited) && !self.in_tests {
                self.types.push((name.to_string(), name.span().start().line));
            }
        }
        match item {
            syn::Item::Const(item) => {
                self.hold(&item.ident, &CONSTANTS, "name the constant by what it limits or counts")
            }
            syn::Item::Static(item) => self.hold(&item.ident, &CONSTANTS, "name the static by what it holds"),
            _ => {}
        }
        visit::visit_item(self, item);
        self.in_tests = around;
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.hold(
            &signature.ident,
            &FUNCTIONS,
            "name the function by a verb that says what it does",
        );
        visit::visit_signature(self, signature);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.hold(&item.ident, &CONSTANTS, "name the constant by what it limits or counts");
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.hold(&item.ident, &CONSTANTS, "name the constant by what it limits or counts");
    }
}

#[test]
fn names_say_what_things_are() {
    expect_none(check(&sources::read()));
}

#[test]
fn bad_names_are_found() {
    let cases: [(&[(&str, &str)], usize); 11] = [
        (&[("src/a.rs", "fn of() {} struct Pass; const WORTH: u8 = 1;")], 3),
        (
            &[(
                "src/a.rs",
                "impl A { fn at() {} const LESS: u8 = 1; } trait B { fn told(); }",
            )],
            3,
        ),
        (
            &[("src/a.rs", "fn offset() { of(); } struct PassBand; enum E { Found }")],
            0,
        ),
        (&[("src/a.rs", "fn f(optimiser: u8) { optimiser; Quantised }")], 2),
        (&[("src/quantise/a.rs", "fn f() {}")], 1),
        (&[("src/a.rs", "/// Quantised\nfn f() { g(\"quantised\") }")], 0),
        (&[("src/a.rs", "pub struct Row;"), ("src/b.rs", "pub enum Row {}")], 1),
        (
            &[
                ("src/a.rs", "pub struct Row;"),
                ("src/b.rs", "struct Row;"),
                ("x/src/b.rs", "pub struct Row;"),
            ],
            0,
        ),
        (
            &[
                ("src/a.rs", "pub(super) struct Row;"),
                ("src/b.rs", "pub(crate) struct Row;"),
            ],
            1,
        ),
        (&[("src/a.rs", "pub struct Args;"), ("src/b.rs", "pub struct Args;")], 0),
        (
            &[
                ("src/a.rs", "pub struct Row;"),
                ("src/b.rs", "#[cfg(test)] mod t { pub struct Row; }"),
            ],
            0,
        ),
    ];
    for (files, count) in cases {
        let found = check(&sources::from_pairs(files));
        assert_eq!(found.len(), count, "{files:?}: {found:?}");
    }
}
