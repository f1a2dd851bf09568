//! Packages of Debian and Ubuntu.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use crate::process;

/// Whether this system has apt, and this user may install with it.
pub fn usable() -> bool {
    process::find_program("apt-get").is_some() && privilege().is_some()
}

/// Brings the list of packages up to date.
pub fn update() -> Result<()> {
    println!("bringing the list of packages up to date (apt-get update)");
    twice(|| process::run(apt_get()?.args(["-q", "update"])))
}

/// Installs packages; fails rather than remove any other.
pub fn install(packages: &[String]) -> Result<()> {
    println!("installing {} (apt-get)", packages.join(", "));
    twice(|| {
        process::run(
            apt_get()?
                .args(["-q", "install", "-y", "--no-install-recommends", "--no-remove"])
                .args(packages),
        )
    })
    .with_context(|| {
        format!(
            "cannot install what is missing: run `apt-get install {}` as root",
            packages.join(" ")
        )
    })
}

/// The version of a package that would be installed.
pub fn candidate(package: &str) -> Option<String> {
    parse_candidate(&process::capture(Command::new("apt-cache").args(["policy", package])).ok()?)
}

/// The newest package of the form `<stem><number>`, as `lld-22`.
pub fn newest(stem: &str) -> Option<String> {
    let pattern = format!("^{stem}[0-9]+$");
    let mut search = Command::new("apt-cache");
    let text = process::capture(search.args(["search", "--names-only", &pattern])).ok()?;
    newest_of(stem, text.lines().filter_map(|line| line.split_whitespace().next()))
}

/// The name of the form `<stem><number>` with the highest number.
pub fn newest_of<'a>(stem: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let number = |name: &str| name.strip_prefix(stem)?.parse::<u32>().ok();
    names
        .filter_map(|name| Some((number(name)?, name)))
        .max()
        .map(|(_, name)| name.to_owned())
}

fn parse_candidate(policy: &str) -> Option<String> {
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Mirrors have bad moments.
fn twice(action: impl Fn() -> Result<()>) -> Result<()> {
    action().or_else(|error| {
        eprintln!("{error:#}; trying once more");
        action()
    })
}

fn apt_get() -> Result<Command> {
    if process::find_program("apt-get").is_none() {
        bail!("this system has no apt-get");
    }
    let privilege = privilege().ok_or_else(|| anyhow!("installing packages needs root, and there is no sudo"))?;
    // `env`, because sudo does not pass the environment on.
    let mut command = match privilege {
        Privilege::Root => Command::new("env"),
        Privilege::Sudo(sudo) => {
            let mut command = Command::new(sudo);
            command.arg("env");
            command
        }
    };
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .stdin(Stdio::null());
    Ok(command)
}

enum Privilege {
    Root,
    Sudo(PathBuf),
}

fn privilege() -> Option<Privilege> {
    let id = process::capture(Command::new("id").arg("-u")).ok()?;
    if id.trim() == "0" {
        return Some(Privilege::Root);
    }
    process::find_program("sudo").map(Privilege::Sudo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_linker_is_the_one_with_the_highest_number() {
        let names = ["lld-9", "lld-22", "lld-14", "lld-14-dev", "lld", "liblld-99"];
        assert_eq!(newest_of("lld-", names.into_iter()).as_deref(), Some("lld-22"));
        assert_eq!(newest_of("ld.lld-", names.into_iter()), None);
    }

    #[test]
    fn a_package_without_a_candidate_has_no_version() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n";
        assert_eq!(parse_candidate(policy).as_deref(), Some("1.96.0+dfsg1-1~deb12u2"));
        assert_eq!(parse_candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(parse_candidate(""), None);
    }
}
