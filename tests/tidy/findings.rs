//! Broken rules, as lines that name the place and the remedy.

use std::collections::BTreeMap;
use std::fmt;

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, relative to the repository.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The fault and its remedy, in one sentence.
    pub message: String,
}

impl Finding {
    /// A finding at a line of a file.
    pub fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            message: message.into(),
        }
    }

    /// The folder that the summary counts this finding under: two levels deep at most.
    fn folder(&self) -> String {
        let parts: Vec<_> = self.file.split('/').collect();
        let depth = parts.len().saturating_sub(1).min(2);
        parts[..depth].join("/") + "/"
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Fails with every finding, and with the number of them in each folder.
pub fn expect_none(mut findings: Vec<Finding>) {
    if findings.is_empty() {
        return;
    }
    findings.sort();
    let mut folders = BTreeMap::<_, usize>::new();
    for finding in &findings {
        *folders.entry(finding.folder()).or_default() += 1;
    }
    let lines: Vec<_> = findings.iter().map(Finding::to_string).collect();
    let counts: Vec<_> = folders
        .iter()
        .map(|(folder, count)| format!("{folder} {count}"))
        .collect();
    panic!(
        "{}\n{} findings: {}",
        lines.join("\n"),
        findings.len(),
        counts.join(", ")
    );
}

#[test]
#[should_panic(expected = "src/a/b.rs:3: too long\n1 findings: src/a/ 1")]
fn a_finding_fails_with_its_place_and_its_folder() {
    expect_none(vec![Finding::new("src/a/b.rs", 3, "too long")]);
}
