//! Versions and libraries of compilers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};

use crate::process;

/// The parts of `rustc -vV` that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Like `1.96.0`.
    pub release: String,
    /// The commit, or `unknown`: two compilers of one release need not be the same.
    pub commit: String,
    /// The triple of the machine that it runs on.
    pub host: String,
}

impl Version {
    /// Asks a compiler.
    pub fn ask(rustc: &Path) -> Result<Self> {
        let text = process::capture(Command::new(rustc).arg("-vV"))?;
        Self::parse(&text).with_context(|| {
            format!(
                "cannot read a version from `{} -vV`: check that it is a Rust compiler",
                rustc.display()
            )
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| anyhow!("there is no line `{name}: …`"))
        };
        Ok(Self {
            release: field("release")?,
            commit: field("commit-hash").unwrap_or_else(|_| "unknown".to_owned()),
            host: field("host")?,
        })
    }

    /// A folder name that no other compiler has.
    pub fn folder(&self) -> String {
        let short: String = self.commit.chars().take(9).collect();
        format!("{}-{short}", self.release)
    }
}

/// Major and minor of a version like `1.96.0` or `1.96.0+dfsg1-1`.
pub fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Returns whether a compiler of that version can build this project.
pub fn recent_enough(version: &str) -> bool {
    major_minor(version) >= major_minor(env!("CARGO_PKG_RUST_VERSION"))
}

/// Returns whether the toolchain in use has the library of that target.
pub fn in_use_has(target: &str) -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .stderr(Stdio::null())
        .output();
    let Ok(output) = output else { return false };
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    output.status.success() && !libraries(&folder, &["core"]).is_empty()
}

/// The `lib<name>-<hash>.rlib` files in a folder.
pub fn libraries(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = file.strip_prefix("lib").and_then(|rest| rest.strip_suffix(".rlib"));
            let name = stem.and_then(|stem| stem.rsplit_once('-')).map(|(name, _)| name);
            name.is_some_and(|name| names.contains(&name))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
        binary: rustc\n\
        commit-hash: ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96\n\
        commit-date: 2026-05-25\n\
        host: x86_64-unknown-linux-gnu\n\
        release: 1.96.0\n\
        LLVM version: 22.1.8\n";

    #[test]
    fn a_compiler_says_who_it_is() {
        let version = Version::parse(SAID).unwrap();
        assert_eq!(version.release, "1.96.0");
        assert_eq!(version.host, "x86_64-unknown-linux-gnu");
        assert_eq!(version.folder(), "1.96.0-ac68faa20");
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = Version::parse("rustc 1.2.3\nhost: here\n").unwrap_err();
        assert_eq!(error.to_string(), "there is no line `release: …`");
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(major_minor("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert!(recent_enough("1.100.0"));
        assert!(recent_enough("2.0.0"));
        assert!(!recent_enough("1.63.0+dfsg1-2"));
        assert!(!recent_enough(""));
    }

    #[test]
    fn only_whole_names_count_as_libraries() {
        let folder = std::env::temp_dir().join(format!("xtask-rlibs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in [
            "libcore-1.rlib",
            "libcore-1.rmeta",
            "libcore_extra-2.rlib",
            "liballoc-3.rlib",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }
        let found = libraries(&folder, &["core", "alloc"]);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [folder.join("liballoc-3.rlib"), folder.join("libcore-1.rlib")]);
        assert!(libraries(&folder, &["core"]).is_empty());
    }
}
