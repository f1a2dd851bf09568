//! The repository's text files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

/// Text of every file, by its path relative to the repository, with `/` between folders.
pub type Sources = BTreeMap<String, String>;

/// Folders of build output and of runs, which .gitignore names.
const LEFT_OUT: [&str; 2] = ["target", "runs"];

/// Files that hold source or prose.
const ENDINGS: [&str; 9] = ["rs", "s", "cu", "h", "py", "md", "toml", "css", "sh"];

/// Folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns true if the walk takes this entry. `host-train/src/data` and the like hold code.
fn belongs(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_str().unwrap_or_default();
    let in_source = entry.path().components().any(|part| part.as_os_str() == "src");
    let hidden = name.starts_with('.') && entry.depth() > 0;
    !hidden && (in_source || !entry.file_type().is_dir() || !LEFT_OUT.contains(&name))
}

/// Reads the repository.
pub fn read() -> Sources {
    let walk = WalkDir::new(root()).into_iter().filter_entry(belongs);
    let mut sources = Sources::new();
    for entry in walk {
        let entry = entry.expect("the repository can be walked");
        let path = entry.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !entry.file_type().is_file() || !ENDINGS.contains(&ending) {
            continue;
        }
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let inside = path.strip_prefix(root()).expect("the walk stays in the repository");
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        sources.insert(parts.join("/"), text);
    }
    sources
}

/// Sources from pairs of path and text, for tests of the checks.
pub fn from_pairs(pairs: &[(&str, &str)]) -> Sources {
    pairs
        .iter()
        .map(|(path, text)| ((*path).into(), (*text).into()))
        .collect()
}

/// The Rust files, parsed. A file that does not parse fails, because no check could see into it.
pub fn parsed(sources: &Sources) -> impl Iterator<Item = (&str, &str, syn::File)> {
    let rust = sources.iter().filter(|(path, _)| path.ends_with(".rs"));
    rust.map(|(path, text)| {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path} does not parse: {error}"));
        (path.as_str(), text.as_str(), file)
    })
}

#[test]
fn the_walk_finds_code_and_leaves_output_out() {
    let sources = read();
    for path in [
        "src/lib.rs",
        "host-train/src/data/csv.rs",
        "ARCHITECTURE.md",
        "src/kernel/dsp.s",
    ] {
        assert!(sources.contains_key(path), "{path} is missing");
    }
    let strays: Vec<_> = sources
        .keys()
        .filter(|path| path.starts_with("target/") || path.starts_with("runs/") || path.starts_with('.'))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}
