//! Public items are documented. The compiler's lint sees to the libraries; in programs, whose items it holds private,
//! this does.

use syn::visit::{self, Visit};

use super::findings::{Finding, expect_none};
use super::scopes::{attributes_and_name, is_test};
use super::sources::{self, Sources};

/// Folders of programs.
const PROGRAMS: [&str; 3] = ["xtask/src/", "host-train/src/", "firmware-examples/"];

fn undocumented(sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _, syntax) in sources::parsed(sources) {
        if PROGRAMS.iter().any(|folder| path.starts_with(folder)) {
            let mut public = Public {
                path,
                findings: Vec::new(),
            };
            public.visit_file(&syntax);
            findings.append(&mut public.findings);
        }
    }
    findings
}

struct Public<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl Public<'_> {
    fn hold(&mut self, name: &syn::Ident, visibility: &syn::Visibility, attributes: &[syn::Attribute]) {
        let is_public = matches!(visibility, syn::Visibility::Public(_));
        if is_public && !attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
            let message = format!("public item {name} has no documentation: say what it is or does");
            self.findings
                .push(Finding::new(self.path, name.span().start().line, message));
        }
    }
}

impl<'ast> Visit<'ast> for Public<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        use syn::Item;
        let (attributes, name) = attributes_and_name(item);
        if is_test(attributes) {
            return;
        }
        let visibility = match item {
            Item::Const(item) => Some(&item.vis),
            Item::Enum(item) => Some(&item.vis),
            Item::Fn(item) => Some(&item.vis),
            Item::Static(item) => Some(&item.vis),
            Item::Struct(item) => Some(&item.vis),
            Item::Trait(item) => Some(&item.vis),
            Item::Type(item) => Some(&item.vis),
            Item::Union(item) => Some(&item.vis),
            _ => None,
        };
        if let (Some(name), Some(visibility)) = (name, visibility) {
            self.hold(name, visibility, attributes);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.hold(&item.sig.ident, &item.vis, &item.attrs);
    }
}

/// Manifests whose lints do not ask for documentation.
fn without_lint(sources: &Sources) -> Vec<Finding> {
    let manifests = sources.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    manifests
        .filter(|(_, text)| {
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            let inherits = lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]);
            !inherits && !lines.contains(&"missing_docs = \"deny\"")
        })
        .map(|(path, _)| Finding::new(path, 1, "the lint missing_docs is off: add [lints] workspace = true"))
        .collect()
}

#[test]
fn public_items_are_documented() {
    expect_none(undocumented(&sources::read()));
}

#[test]
fn the_lint_is_on() {
    let sources = sources::read();
    assert!(sources["Cargo.toml"].contains("[workspace.lints.rust]\nmissing_docs = \"deny\""));
    expect_none(without_lint(&sources));
}

#[test]
fn missing_docs_are_found() {
    let cases = [
        ("pub fn f() {}", 1),
        ("/// Does.\npub fn f() {}\nfn g() {}", 0),
        (
            "/// Is.\npub struct A { pub b: u8 }\nimpl A { pub fn d() {} fn e() {} }",
            1,
        ),
        ("#[cfg(test)] mod tests { pub fn f() {} }", 0),
    ];
    for (text, count) in cases {
        let found = undocumented(&sources::from_pairs(&[("xtask/src/a.rs", text)]));
        assert_eq!(found.len(), count, "{text}");
    }
    let manifests = [
        ("a/Cargo.toml", "[lints]\nworkspace = true\n"),
        ("b/Cargo.toml", "[package]\n"),
    ];
    let found = without_lint(&sources::from_pairs(&manifests));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].file, "b/Cargo.toml");
}
