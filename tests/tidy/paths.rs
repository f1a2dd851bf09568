//! Paths of the repository that Markdown names, in code spans and in links, exist.

use std::fs;
use std::path::Path;

use regex::Regex;

use super::findings::{Finding, expect_none};
use super::sources::{self, Sources};

/// Folders of the repository. A path in a code span is checked if it begins with one of them or with `..`.
const FOLDERS: [&str; 10] = [
    "..",
    "benches",
    "data",
    "docs",
    "firmware-examples",
    "host-train",
    "models",
    "src",
    "tests",
    "xtask",
];

/// Word in capitals that stands for a name which the reader chooses.
const PLACEHOLDER: &str = "NAME";

/// Finds paths that lead nowhere, by a function that knows which paths exist in the repository.
fn check(sources: &Sources, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (page, text) in sources.iter().filter(|(page, _)| page.ends_with(".md")) {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside = |path: &str| join(folder, path).is_some_and(|path| exists(&path));
        let mut in_fence = false;
        for (index, line) in text.lines().enumerate() {
            in_fence ^= line.trim_start().starts_with("```");
            if in_fence {
                continue;
            }
            let mut add = |path: &str| {
                let message = format!("{path} does not exist: name the path as it is now");
                findings.push(Finding::new(page, index + 1, message));
            };
            spans(line)
                .filter(|path| !exists(path) && !beside(path))
                .for_each(&mut add);
            links(line)
                .iter()
                .filter(|path| !beside(path))
                .for_each(|path| add(path));
        }
    }
    findings
}

/// Paths of the repository in a line's code spans.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.flat_map(str::split_whitespace).filter(|word| {
        let is_path = word.chars().all(|c| c.is_alphanumeric() || "/.*_-".contains(c));
        let inside = word.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
        is_path && inside && !word.contains(PLACEHOLDER)
    })
}

/// Targets of a line's links to other files.
fn links(line: &str) -> Vec<String> {
    let pattern = Regex::new(r"\]\(([^)#\s]+)[^)]*\)").expect("the pattern is valid");
    let targets = pattern.captures_iter(line).map(|found| found[1].to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

/// Joins a path to the folder of its page, without `..`. Returns none for a path that leaves the repository.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !["", "."].contains(part)) {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

/// Returns true if the repository has a file or folder of that path. Its last part may hold `*`.
fn is_in_repository(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if !name.contains('*') {
        return sources::root().join(path).exists();
    }
    let parts: Vec<_> = name.split('*').map(regex::escape).collect();
    let pattern = Regex::new(&format!("^{}$", parts.join(".*"))).expect("an escaped pattern is valid");
    let entries = fs::read_dir(sources::root().join(Path::new(folder)));
    entries.is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| pattern.is_match(&entry.file_name().to_string_lossy()))
    })
}

#[test]
fn paths_in_markdown_exist() {
    expect_none(check(&sources::read(), is_in_repository));
}

#[test]
fn a_path_that_leads_nowhere_is_found() {
    let exists = |path: &str| ["src/a.rs", "docs/b.md", "data/src/c.rs"].contains(&path);
    let cases = [
        ("d.md", "`src/a.rs`, `src/gone.rs` and\n`run src/lost.rs --fast`", 2),
        (
            "docs/d.md",
            "`src/a.rs`, [b](b.md), [b](b.md#part), [web](https://a.b/c.md)",
            0,
        ),
        (
            "docs/d.md",
            "[b](docs/b.md)\n[a](../src/a.rs), `../src/a.rs`, `../../src/a.rs`",
            2,
        ),
        (
            "data/d.md",
            "`src/c.rs`, `src/NAME.rs`, `target/x`, `1/mV`, src/gone.rs",
            0,
        ),
        ("d.md", "```\n`src/gone.rs`\n```\n`src/gone.rs`", 1),
        ("d.rs", "// `src/gone.rs`", 0),
    ];
    for (path, text, count) in cases {
        let found = check(&sources::from_pairs(&[(path, text)]), exists);
        assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
    }
}

#[test]
fn a_star_stands_for_any_name() {
    for path in [
        "src/format/*.rs",
        "host-train/src/export/quantize*",
        "src/",
        "README.md",
    ] {
        assert!(is_in_repository(path), "{path}");
    }
    for path in ["src/format/*.c", "src/mlp/*.rs", "src/gone"] {
        assert!(!is_in_repository(path), "{path}");
    }
}
