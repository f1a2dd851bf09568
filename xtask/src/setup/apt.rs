//! Packages of Debian and Ubuntu.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};

use crate::process;

/// Options of every installation: nothing but what is asked for.
pub const OPTIONS: &str = "-y --no-install-recommends";

/// Returns whether this system has apt.
pub fn present() -> bool {
    process::find_program("apt-get").is_some()
}

/// Returns whether this user may install packages: root, or sudo without a password or with a terminal to ask for it.
pub fn usable() -> bool {
    present() && privilege().is_some()
}

/// Brings the list of packages up to date.
pub fn update() -> Result<()> {
    println!("bringing the list of packages up to date (apt-get update)");
    twice(|| process::run(privileged()?.args(["-q", "update"])))
}

/// Installs packages in one call; fails rather than remove any other.
pub fn install(packages: &[String]) -> Result<()> {
    println!("installing {} (apt-get)", packages.join(", "));
    twice(|| {
        process::run(
            privileged()?
                .args(["-q", "install", "--no-remove"])
                .args(OPTIONS.split(' '))
                .args(packages),
        )
    })
    .with_context(|| format!("cannot install what is missing: run `{}`", command(packages)))
}

/// Returns the command that installs packages, as a person types it.
pub fn command(packages: &[String]) -> String {
    let packages = packages.join(" ");
    if process::find_program("sudo").is_some() || !present() {
        return format!("sudo apt-get update && sudo apt-get install {OPTIONS} {packages}");
    }
    if is_root() {
        return format!("apt-get update && apt-get install {OPTIONS} {packages}");
    }
    format!("su -c 'apt-get update && apt-get install {OPTIONS} {packages}'")
}

/// Returns the version of a package that would be installed.
pub fn candidate(package: &str) -> Option<String> {
    parse_candidate(&quiet("apt-cache", &["policy", package])?)
}

/// Returns the newest package of the form `<stem><number>`, as `lld-22`.
pub fn newest(stem: &str) -> Option<String> {
    let pattern = format!("^{stem}[0-9]+$");
    let text = quiet("apt-cache", &["search", "--names-only", &pattern])?;
    newest_of(stem, text.lines().filter_map(|line| line.split_whitespace().next()))
}

/// Returns the name of the form `<stem><number>` with the highest number.
pub fn newest_of<'a>(stem: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let number = |name: &str| name.strip_prefix(stem)?.parse::<u32>().ok();
    names
        .filter_map(|name| Some((number(name)?, name)))
        .max()
        .map(|(_, name)| name.to_owned())
}

/// Returns the names of packages that the user has told apt to leave as they are.
pub fn held() -> Vec<String> {
    let text = quiet("apt-mark", &["showhold"]).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Returns what a program prints, or nothing where there is no such program or it fails.
fn quiet(program: &str, arguments: &[&str]) -> Option<String> {
    let path = process::find_program(program)?;
    let output = Command::new(path).args(arguments).stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
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

/// Starts `apt-get` with the right to install.
fn privileged() -> Result<Command> {
    const FRONTEND: &str = "DEBIAN_FRONTEND";
    let mut command = match privilege().ok_or_else(|| anyhow!("installing packages needs root or sudo"))? {
        Privilege::Root => {
            let mut command = Command::new("apt-get");
            command.env(FRONTEND, "noninteractive");
            command
        }
        Privilege::Sudo(sudo) => {
            let mut command = Command::new(sudo);
            // `env`, because sudo does not pass the environment on.
            command.args(["env", &format!("{FRONTEND}=noninteractive"), "apt-get"]);
            command
        }
    };
    command.stdin(Stdio::null());
    Ok(command)
}

enum Privilege {
    Root,
    Sudo(PathBuf),
}

fn privilege() -> Option<Privilege> {
    if is_root() {
        return Some(Privilege::Root);
    }
    let sudo = process::find_program("sudo")?;
    let without_password = Command::new(&sudo)
        .args(["-n", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    (without_password || std::io::stderr().is_terminal()).then_some(Privilege::Sudo(sudo))
}

/// Returns whether this process is root's: its entry in `/proc` belongs to its effective user.
#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
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

    #[test]
    fn the_printed_command_updates_the_lists_first() {
        let command = command(&["rustc-web".to_owned(), "lld-22".to_owned()]);
        let (update, install) = command.split_once(" && ").unwrap();
        assert!(update.ends_with("apt-get update"), "{command}");
        assert!(
            install.contains("apt-get install -y --no-install-recommends rustc-web lld-22"),
            "{command}"
        );
    }
}
