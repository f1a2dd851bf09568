//! Comments and Markdown stay within 120 columns. Tables, code blocks and lines that are one URL may be longer.

use super::findings::{Finding, expect_none};
use super::sources::{self, Sources};

/// Widest line of prose, in characters.
const MAX_COLUMNS: usize = 120;

fn check(sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in sources {
        let is_markdown = path.ends_with(".md");
        let mut in_fence = false;
        for (index, line) in text.lines().enumerate() {
            let Some(prose) = (if is_markdown {
                Some(line)
            } else {
                comment_of(path, line)
            }) else {
                in_fence = false;
                continue;
            };
            if prose.trim_start().starts_with("```") {
                in_fence = !in_fence;
            }
            let is_code = in_fence || prose.starts_with("    ");
            let columns = line.chars().count();
            if columns > MAX_COLUMNS && !is_code && !is_table(prose) && !is_one_url(prose) {
                let message = format!("{columns} columns: wrap it at {MAX_COLUMNS}");
                findings.push(Finding::new(path, index + 1, message));
            }
        }
    }
    findings
}

/// Text of a comment after its marker, be it a whole line or the end of one.
fn comment_of<'a>(path: &str, line: &'a str) -> Option<&'a str> {
    let markers: &[&str] = match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("rs") => &["///", "//!", "//"],
        Some("toml" | "py" | "sh") => &["##", "#"],
        _ => &["/*", "*", "@", "# ", "//"],
    };
    let trimmed = line.trim_start();
    let whole = markers.iter().find_map(|marker| trimmed.strip_prefix(marker));
    let at_the_end = || {
        line.find(&format!(" {} ", markers.last()?))
            .map(|start| &line[start + 1..])
    };
    whole.or_else(at_the_end)
}

fn is_table(prose: &str) -> bool {
    prose.trim_start().starts_with('|')
}

/// Returns true if nothing could be wrapped: one word with a URL, after at most a list marker or the label of a link.
fn is_one_url(prose: &str) -> bool {
    let mut words = prose
        .split_whitespace()
        .filter(|word| !["-", "*"].contains(word) && !word.ends_with("]:"));
    words.next().is_some_and(|word| word.contains("://")) && words.next().is_none()
}

#[test]
fn comments_and_markdown_fit() {
    expect_none(check(&sources::read()));
}

#[test]
fn long_lines_are_found_where_they_can_be_wrapped() {
    let words = "word ".repeat(30);
    let url = format!("https://example.org/{}", "x".repeat(120));
    let cases = [
        ("a.rs", format!("/// {words}"), 1),
        ("a.rs", format!("let a = 1; // {words}"), 1),
        ("a.rs", format!("let a = \"{words}\";"), 0),
        ("a.rs", format!("//! | {words}|"), 0),
        ("a.rs", format!("//! ```text\n//! {words}\n//! ```\n//! {words}"), 1),
        ("a.toml", format!("# {words}"), 1),
        ("a.s", format!("@ {words}"), 1),
        ("a.md", words.clone(), 1),
        ("a.md", format!("| {words} |"), 0),
        ("a.md", format!("```\n{words}\n```"), 0),
        ("a.md", format!("    {words}"), 0),
        ("a.md", format!("- [label]: {url}"), 0),
        ("a.md", format!("see {url}"), 1),
        // Characters count, not bytes.
        ("a.md", "γ".repeat(120), 0),
    ];
    for (path, text, count) in cases {
        let found = check(&sources::from_pairs(&[(path, &text)]));
        assert_eq!(found.len(), count, "{path}: {text}");
    }
}
