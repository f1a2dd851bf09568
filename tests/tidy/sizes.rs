//! Files have at most 450 lines, functions at most 70.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::findings::{Finding, expect_none};
use super::sources::{self, Sources};

/// Most lines of a source file.
const MAX_FILE: usize = 450;

/// Most lines of a function from its signature to its closing brace, without blank lines and comments.
const MAX_FUNCTION: usize = 70;

/// Beginning of the comment above a function that may be longer.
const REASON: &str = "// Long because ";

/// Endings of source files.
const SOURCE: [&str; 5] = [".rs", ".s", ".cu", ".h", ".py"];

fn long_files(sources: &Sources) -> Vec<Finding> {
    let code = sources
        .iter()
        .filter(|(path, _)| SOURCE.iter().any(|ending| path.ends_with(ending)));
    code.filter_map(|(path, text)| {
        let lines = text.lines().count();
        let message = format!("{lines} lines, more than {MAX_FILE}: split the file by its ideas");
        (lines > MAX_FILE).then(|| Finding::new(path, lines, message))
    })
    .collect()
}

fn long_functions(sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text, syntax) in sources::parsed(sources) {
        let lines = text.lines().collect();
        let mut functions = Functions {
            path,
            lines,
            findings: Vec::new(),
        };
        functions.visit_file(&syntax);
        findings.append(&mut functions.findings);
    }
    findings
}

struct Functions<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &str, start: Span, end: Span) {
        let (first, last) = (start.start().line, end.end().line);
        let body = &self.lines[first - 1..last];
        let is_code = |line: &&&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let length = body.iter().filter(is_code).count();
        if length > MAX_FUNCTION && !self.has_reason(first) {
            let message = format!(
                "function {name} has {length} lines, more than {MAX_FUNCTION}: split it, or say why not in a comment \"{REASON}…\" above it"
            );
            self.findings.push(Finding::new(self.path, first, message));
        }
    }

    /// Looks through the comments and attributes directly above a signature.
    fn has_reason(&self, first: usize) -> bool {
        let above = self.lines[..first - 1].iter().rev().map(|line| line.trim());
        above
            .take_while(|line| line.starts_with("//") || line.starts_with("#["))
            .any(|line| line.starts_with(REASON))
    }

    /// Functions among the tokens of a macro, such as the tests in `proptest!`: `fn name … { … }`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut open: Option<(String, Span)> = None;
        let mut trees = tokens.into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Ident(word) if word == "fn" => {
                    if let Some(TokenTree::Ident(name)) = trees.peek() {
                        open = Some((name.to_string(), word.span()));
                    }
                }
                TokenTree::Group(group) => {
                    if group.delimiter() == Delimiter::Brace
                        && let Some((name, start)) = open.take()
                    {
                        self.measure(&name, start, group.span_close());
                    }
                    self.tokens(group.stream());
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig.ident.to_string(), item.sig.span(), item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig.ident.to_string(), item.sig.span(), item.block.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig.ident.to_string(), item.sig.span(), block.span());
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.tokens(invocation.tokens.clone());
    }
}

#[test]
fn files_are_small() {
    expect_none(long_files(&sources::read()));
}

#[test]
fn functions_are_short() {
    expect_none(long_functions(&sources::read()));
}

#[test]
fn a_long_file_is_found() {
    let text = "\n".repeat(MAX_FILE);
    assert_eq!(long_files(&sources::from_pairs(&[("a.s", &text)])).len(), 0);
    let text = "\n".repeat(MAX_FILE + 1);
    assert_eq!(
        long_files(&sources::from_pairs(&[("a.s", &text), ("a.md", &text)])).len(),
        1
    );
}

#[test]
fn a_long_function_is_found_unless_it_says_why() {
    let body = "    f();\n".repeat(MAX_FUNCTION - 2);
    let long = format!("{body}    f();\n");
    let cases = [
        (format!("fn f() {{\n{body}}}\n"), 0),
        (format!("fn f() {{\n// Why\n\n{body}}}\n"), 0),
        (format!("fn f() {{\n{long}}}\n"), 1),
        (format!("impl A {{ fn f(\n) {{\n{body}}}\n}}\n"), 1),
        (format!("trait A {{ fn f() {{\n{long}}}\n}}\n"), 1),
        (format!("proptest! {{\n#[test]\nfn f(a in 0..1) {{\n{long}}}\n}}\n"), 1),
        (
            format!("/// Docs.\n// Long because it is a table.\n#[test]\nfn f() {{\n{long}}}\n"),
            0,
        ),
        (format!("// Long because it is a table.\n\nfn f() {{\n{long}}}\n"), 1),
    ];
    for (text, count) in cases {
        let found = long_functions(&sources::from_pairs(&[("a.rs", &text)]));
        assert_eq!(found.len(), count, "{text}");
    }
}
