//! Phrases that a native reader stumbles over, and beginnings that a documentation comment does not have.

use regex::Regex;

use super::findings::{Finding, expect_none};
use super::names::SPELLINGS;
use super::sources::{self, Sources};
use super::text::{self, Origin};

/// Files that name the phrases.
const LISTS: [&str; 2] = ["tests/tidy/phrases.rs", "tests/tidy/names.rs"];

/// Words that a documentation comment does not begin with: a noun or a verb in the third person does.
const BEGINNINGS: [&str; 5] = ["What ", "Of ", "Whether ", "So many", "How "];

/// Banned phrases as patterns, the continuations that make them good English, and the remedy.
const PHRASES: [(&str, &str, &str); 23] = [
    (
        r"\brooms\b|\b(this|that|each|every|only|one|another|whole|which) room\b",
        "",
        "say \"module\"",
    ),
    (r"\bso many\b", r"^so many that\b", "name the number, or say \"N\""),
    (r"\bso-many-th\b", "", "say \"every k-th\""),
    (r"\bwhoever\b", "", "name who does it, or use the passive voice"),
    (r"\bin vain\b", "", "say \"without effect\" or \"without an answer\""),
    (r"\bmay meet is in\b", "", "say \"compile-time capabilities\""),
    (r"\bstands? for 0 in\b", "", "say \"zero point\""),
    (r"\bdoes its own way\b", "", "say \"specializes\""),
    (r"\beach only adds\b|\bfeatures only add\b", "", "say \"additive\""),
    (r"\bis of the other kind\b", "", "name the call to use instead"),
    (
        r"\bis said to the others\b",
        "",
        "say \"is reported to the other ranks\"",
    ),
    (r"\bis said once\b", "", "say \"is reported once\""),
    (r"\bthere is to say\b", "", "name the messages"),
    (r"\bweights part\b", "", "say \"weights diverge\""),
    (
        r"\bwhere nothing is possible\b",
        "",
        "say \"otherwise the command prints\"",
    ),
    (r"\btwo masters\b", "", "say \"is trained by two objectives\""),
    (r"\bin the middle of \S+ turns\b", "", "say \"median of N runs\""),
    (r"\ba test looks\b", "", "say \"a test checks\""),
    (r"\blooks? (while|whether)\b", "", "say \"checks\" or \"detects\""),
    (r"\b(is|are) looked at\b", "", "say \"is checked\" or \"is inspected\""),
    (r"\bas (\w+ )?begun\b", "", "say \"as started\""),
    (r"\bhas to say\b", "", "say \"reports\""),
    (r"\bmet where they\b", "", "say \"at the next collective\""),
];

/// British spellings that no name has but prose could, as patterns, and the American ones.
const PROSE_SPELLINGS: [(&str, &str); 16] = [
    ("(special|general|minim|maxim)is[aei]", "…iz…"),
    ("(recogn|organ|summar|synchron|vector)is[aei]", "…iz…"),
    ("analys(ed|ing)", "analyz…"),
    ("favour", "favor"),
    ("honour", "honor"),
    ("centre", "center"),
    ("licence", "license"),
    ("grey", "gray"),
    ("modell(ed|ing)", "model…"),
    ("labell(ed|ing)", "label…"),
    ("cancell(ed|ing)", "cancel…"),
    ("artefact", "artifact"),
    ("catalogue", "catalog"),
    ("judgement", "judgment"),
    ("distil\\b", "distill"),
    ("per cent", "percent"),
];

/// Compiles a pattern that ignores case.
fn compile(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("the patterns are valid")
}

/// Finds words in British spelling.
fn british(sources: &Sources) -> Vec<Finding> {
    let all = SPELLINGS.iter().chain(&PROSE_SPELLINGS);
    let spellings: Vec<_> = all
        .map(|(british, american)| (compile(&format!(r"\b\w*{british}\w*")), american))
        .collect();
    let mut findings = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !LISTS.contains(&path.as_str())) {
        for block in text::blocks(path, text) {
            for (spelling, american) in &spellings {
                for found in spelling.find_iter(&block.text) {
                    let message = format!("\"{}\": write it the American way, \"{american}\"", found.as_str());
                    findings.push(Finding::new(path, block.line_at(found.start()), message));
                }
            }
        }
    }
    findings
}

fn check(sources: &Sources) -> Vec<Finding> {
    let phrases = PHRASES
        .map(|(phrase, except, remedy)| (compile(phrase), (!except.is_empty()).then(|| compile(except)), remedy));
    let mut findings = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !LISTS.contains(&path.as_str())) {
        for block in text::blocks(path, text) {
            for (phrase, except, remedy) in &phrases {
                for found in phrase.find_iter(&block.text) {
                    let is_good = |except: &Regex| except.is_match(&block.text[found.start()..]);
                    if !except.as_ref().is_some_and(is_good) {
                        let message = format!("\"{}\": {remedy}", found.as_str());
                        findings.push(Finding::new(path, block.line_at(found.start()), message));
                    }
                }
            }
            let beginning = BEGINNINGS.iter().find(|beginning| block.text.starts_with(**beginning));
            if let (Origin::Doc, Some(beginning)) = (block.origin, beginning) {
                let message = format!(
                    "a doc that begins with \"{}\": begin with a noun, or a verb in the third person",
                    beginning.trim()
                );
                findings.push(Finding::new(path, block.line_at(0), message));
            }
        }
    }
    findings
}

#[test]
fn prose_is_plain() {
    expect_none(check(&sources::read()));
}

#[test]
fn prose_is_spelled_the_american_way() {
    expect_none(british(&sources::read()));
}

#[test]
fn british_spelling_is_found_in_prose_and_not_in_code() {
    let cases = [
        ("a.md", "A requantisation,\nand Quantised weights.", 2),
        (
            "a.md",
            "A requantization of gray levels, `grey` and\n\n    optimise(grey)",
            0,
        ),
        ("a.rs", "/// Learnt by heart.\nfn f() { g(\"the colour\") }", 2),
        ("a.rs", "fn grey() { licence() }", 0),
        (
            "a.rs",
            "// A specialist in parallelism cancels; analysis of a model.",
            0,
        ),
        ("a.rs", "// A specialised reader: no reason to distil.", 2),
        ("a.toml", "# Optimises\ngrey = 1", 1),
        ("a.cu", "// two per cent", 1),
    ];
    for (path, text, count) in cases {
        let found = british(&sources::from_pairs(&[(path, text)]));
        assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
    }
}

#[test]
fn banned_phrases_are_found_where_people_read() {
    let cases = [
        ("a.rs", "/// Whether it is.\nfn f() {}", 1),
        ("a.rs", "/// How many there are.\nfn f() {}", 1),
        (
            "a.rs",
            "/// True if it is. What it does.\n// Whether or not\nfn f() {}",
            0,
        ),
        ("a.rs", "//! Adds up.\n//!\n//! Of use in every\n//! room.", 1),
        ("a.rs", "fn f() { g(\"in every room of the house\") }", 1),
        ("a.rs", "fn rooms() { look_whether() }", 0),
        ("a.md", "There is room for more, and room\nto spare.", 0),
        ("a.md", "The code's\nrooms.", 1),
        ("a.md", "    rooms\n\n`rooms`", 0),
        ("a.md", "Every one of so\nmany times.", 1),
        ("a.toml", "# Waits in vain\na = \"in vain\"", 1),
        ("a.cu", "// tried in vain", 1),
    ];
    for (path, text, count) in cases {
        let found = check(&sources::from_pairs(&[(path, text)]));
        assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
    }
}

#[test]
fn a_phrase_over_two_lines_is_found_at_its_line() {
    let found = check(&sources::from_pairs(&[("a.md", "One\ntwo so\nmany three")]));
    assert_eq!(
        found,
        [Finding::new("a.md", 2, "\"so many\": name the number, or say \"N\"")]
    );
}
