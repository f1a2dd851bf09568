//! Prose in the repository's files: comments, Markdown paragraphs and string literals, without the code in them.

use proc_macro2::{TokenStream, TokenTree};

/// Place that a block of prose comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A documentation comment.
    Doc,
    /// Any other comment.
    Comment,
    /// Markdown.
    Markdown,
    /// A string literal of Rust.
    Literal,
}

/// Lines of prose that belong together, joined by blanks.
#[derive(Debug)]
pub struct Block {
    /// Place that it comes from.
    pub origin: Origin,
    /// The prose. Code between backquotes is replaced by blanks.
    pub text: String,
    /// Offset in `text` and line in the file, for each line.
    starts: Vec<(usize, usize)>,
}

impl Block {
    fn new(origin: Origin) -> Self {
        Self {
            origin,
            text: String::new(),
            starts: Vec::new(),
        }
    }

    fn push(&mut self, line: usize, text: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.starts.push((self.text.len(), line));
        self.text.push_str(text);
    }

    /// Line in the file of an offset in the text.
    pub fn line_at(&self, offset: usize) -> usize {
        let before = self.starts.iter().take_while(|(start, _)| *start <= offset);
        before.last().map_or(1, |(_, line)| *line)
    }
}

/// Prose of a file, chosen by its ending.
pub fn blocks(path: &str, text: &str) -> Vec<Block> {
    let mut all = match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("md") => group(text, |line| Some((Origin::Markdown, line))),
        Some("rs") => {
            let mut all = group(text, |line| comment(line, &["///", "//!", "//"]));
            all.extend(literals(text));
            all
        }
        Some("toml" | "py" | "sh") => group(text, |line| comment(line, &["##", "#"])),
        _ => group(text, |line| comment(line, &["//", "/*", "*", "@", "# "])),
    };
    for block in &mut all {
        block.text = without_code(&block.text);
    }
    all
}

/// A comment's origin and text, by the first marker that the line begins with.
fn comment<'a>(line: &'a str, markers: &[&str]) -> Option<(Origin, &'a str)> {
    let line = line.trim_start();
    markers.iter().find_map(|marker| {
        let origin = if ["///", "//!"].contains(marker) {
            Origin::Doc
        } else {
            Origin::Comment
        };
        Some((origin, line.strip_prefix(marker)?))
    })
}

/// Joins lines into blocks: a blank line, a list item, a table row, a heading or another origin begins a new one; code
/// is left out.
fn group<'a>(text: &'a str, prose: impl Fn(&'a str) -> Option<(Origin, &'a str)>) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    let mut is_open = false;
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        let Some((origin, content)) = prose(line) else {
            (is_open, in_fence) = (false, false);
            continue;
        };
        let trimmed = content.trim();
        if trimmed.starts_with("```") {
            (is_open, in_fence) = (false, !in_fence);
            continue;
        }
        let is_code = in_fence || (!is_open && content.starts_with("    "));
        if is_code || trimmed.is_empty() {
            // A documentation comment stays one block, so that its beginning is known.
            is_open &= origin == Origin::Doc && !in_fence;
            continue;
        }
        let continues = is_open && all.last().is_some_and(|block| block.origin == origin);
        if !continues || (origin == Origin::Markdown && begins_item(trimmed)) {
            all.push(Block::new(origin));
        }
        is_open = true;
        if let Some(block) = all.last_mut() {
            block.push(index + 1, trimmed);
        }
    }
    all
}

/// Returns true for the first line of a list item, a table row and a heading.
pub fn begins_item(line: &str) -> bool {
    let numbered = line
        .split_once(". ")
        .is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    numbered
        || ["- ", "* ", "|", "#", ">"]
            .iter()
            .any(|marker| line.starts_with(marker))
}

/// Blanks in place of what stands between backquotes.
fn without_code(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    let kept = pieces.map(|(index, piece)| match index % 2 {
        0 => piece.to_owned(),
        _ => " ".repeat(piece.len()),
    });
    kept.collect::<Vec<_>>().join("`")
}

/// String literals, each a block; documentation comments are no literals.
fn literals(text: &str) -> Vec<Block> {
    let lines: Vec<_> = text.lines().collect();
    let mut all = Vec::new();
    let tokens: TokenStream = text.parse().expect("the file has been parsed before");
    each_literal(tokens, &mut |line, value| {
        let is_comment = lines
            .get(line - 1)
            .is_some_and(|line| line.trim_start().starts_with("//"));
        if !is_comment {
            let mut block = Block::new(Origin::Literal);
            block.push(line, value);
            all.push(block);
        }
    });
    all
}

fn each_literal(tokens: TokenStream, action: &mut impl FnMut(usize, &str)) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => each_literal(group.stream(), action),
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    action(line, &text.value());
                }
            }
            _ => {}
        }
    }
}

#[test]
fn prose_is_found_and_code_is_not() {
    let text =
        "//! One\n//! two `code`.\n//!\n//! ```\n//! hidden\n//! ```\nfn f() {\n    // Why\n    g(\"said\");\n}\n";
    let found: Vec<_> = blocks("a.rs", text)
        .iter()
        .map(|block| (block.origin, block.text.clone(), block.line_at(5)))
        .collect();
    let expected = [
        (Origin::Doc, "One two `    `.".to_owned(), 2),
        (Origin::Comment, "Why".to_owned(), 8),
        (Origin::Literal, "said".to_owned(), 9),
    ];
    assert_eq!(found, expected);
}

#[test]
fn markdown_falls_into_paragraphs_items_and_rows() {
    let text = "# Head\nA\nb\n\n    code\n\n- one\n  more\n- two\n\n| row |\n```\nfence\n```\n";
    let found: Vec<_> = blocks("a.md", text).into_iter().map(|block| block.text).collect();
    assert_eq!(found, ["# Head A b", "- one more", "- two", "| row |"]);
}
