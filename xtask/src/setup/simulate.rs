//! Simulated installations: what apt would remove, and how to avoid it.
//!
//! A machine with a past may hold a package that breaks a new one, as `qemu-utils` of another release breaks
//! `qemu-system-common`. Such a package is named in the same call, so that apt upgrades it with the others. Where that
//! does not help, nothing is installed and the sentence says why.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;
use crate::setup::apt;

/// Result of a simulation.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Simulation {
    /// True where apt found a way.
    possible: bool,
    /// Names of packages that it would remove.
    removals: Vec<String>,
    /// Names of packages that it would install or upgrade.
    installs: Vec<String>,
    /// Its sentences about packages that do not fit, one each.
    conflicts: Vec<String>,
}

impl Simulation {
    fn is_clean(&self) -> bool {
        self.possible && self.removals.is_empty()
    }

    /// Reads what `apt-get -s install` prints in the language C, on both streams.
    fn parse(text: &str, possible: bool) -> Self {
        let named = |word: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(word));
            lines
                .filter_map(|rest| rest.split_whitespace().next())
                .map(str::to_owned)
                .collect()
        };
        let mut removals = named("Remv ");
        // With --no-remove it stops before those lines, and with them.
        for name in listed(text, "The following packages will be REMOVED:") {
            if !removals.contains(&name) {
                removals.push(name);
            }
        }
        let conflicts = text
            .lines()
            .map(str::trim)
            .filter(|line| CONFLICTS.iter().any(|word| line.contains(word)))
            .map(str::to_owned)
            .collect();
        Self {
            possible,
            removals,
            installs: named("Inst "),
            conflicts,
        }
    }
}

/// Words of the lines that name a conflict.
const CONFLICTS: [&str; 3] = [" : Breaks: ", " : Depends: ", " : Conflicts: "];

/// Returns the names in the indented block under a heading.
fn listed(text: &str, heading: &str) -> Vec<String> {
    text.lines()
        .skip_while(|line| line.trim_end() != heading)
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .flat_map(str::split_whitespace)
        // Those that are purged have an asterisk.
        .map(|name| name.trim_end_matches('*').to_owned())
        .collect()
}

/// Outcome of planning an installation.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// These in one call: the packages that were asked for, and those that are upgraded with them.
    Install(Vec<String>),
    /// Not without removing another. A sentence says which and what to do.
    Blocked(String),
    /// Not at all, as where the lists are empty. A sentence says why.
    Impossible(String),
}

/// Asks apt how to install packages without removing any.
pub fn plan(packages: &[String]) -> Result<Plan> {
    plan_by(packages, &apt::held(), simulate)
}

/// Returns the names of packages that an installation brings, whatever it would remove.
pub fn closure(packages: &[String]) -> Result<Vec<String>> {
    Ok(simulate(packages)?.installs)
}

fn plan_by(packages: &[String], held: &[String], simulate: impl Fn(&[String]) -> Result<Simulation>) -> Result<Plan> {
    let first = simulate(packages)?;
    if first.is_clean() {
        return Ok(Plan::Install(packages.to_vec()));
    }
    if first.removals.is_empty() {
        return Ok(Plan::Impossible(blocked(packages, &first, held)));
    }
    let together = [packages, &first.removals].concat();
    let second = simulate(&together)?;
    if second.is_clean() {
        return Ok(Plan::Install(together));
    }
    let conflicts = [first.conflicts, second.conflicts].concat();
    Ok(Plan::Blocked(blocked(
        packages,
        &Simulation { conflicts, ..first },
        held,
    )))
}

fn blocked(packages: &[String], simulation: &Simulation, held: &[String]) -> String {
    let wanted = packages.join(", ");
    let said = match simulation.conflicts.first() {
        Some(conflict) => format!(" (apt says: {conflict})"),
        None => String::new(),
    };
    let in_the_way = &simulation.removals;
    let on_hold: Vec<_> = in_the_way.iter().filter(|name| held.contains(name)).cloned().collect();
    match in_the_way.as_slice() {
        [] => format!("apt cannot install {wanted} on this system{said}"),
        _ if !on_hold.is_empty() => format!(
            "{wanted} cannot be installed beside {}, which is on hold: allow its upgrade with `apt-mark unhold {}`{said}",
            on_hold.join(", "),
            on_hold.join(" ")
        ),
        names => format!(
            "{wanted} cannot be installed beside {}, of which apt knows no version that fits{said}: remove it \
             (`apt-get remove {}`), or add the source that it came from (as backports) and install both from there",
            names.join(", "),
            names.join(" ")
        ),
    }
}

fn simulate(packages: &[String]) -> Result<Simulation> {
    let mut command = Command::new("apt-get");
    command
        .args(["-s", "-q", "install"])
        .args(apt::OPTIONS.split(' '))
        .args(packages)
        // The words are parsed.
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", process::shown(&command)))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Simulation::parse(
        &String::from_utf8_lossy(&text),
        output.status.success(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed on Debian 12 with qemu-utils from backports; lists shortened.
    const REMOVES: &str = "\
Reading package lists...
Building dependency tree...
Reading state information...
The following additional packages will be installed:
  libbrlapi0.8 libcacard0 libvdeplug2
  qemu-system-common qemu-system-data
Recommended packages:
  gstreamer1.0-plugins-base qemu-system-gui qemu-utils ipxe-qemu
The following packages will be REMOVED:
  qemu-utils
The following NEW packages will be installed:
  libbrlapi0.8 libcacard0 libvdeplug2
  qemu-system-arm qemu-system-common qemu-system-data
0 upgraded, 6 newly installed, 1 to remove and 80 not upgraded.
Remv qemu-utils [1:10.0.2+ds-2+deb13u1~bpo12+1]
Inst libbrlapi0.8 (6.5-7+deb12u1 Debian:12.14/oldstable [amd64])
Inst qemu-system-common (1:7.2+dfsg-7+deb12u18+b2 Debian:12.14/oldstable [amd64])
Inst qemu-system-arm (1:7.2+dfsg-7+deb12u18+b2 Debian:12.14/oldstable [amd64])
Conf libbrlapi0.8 (6.5-7+deb12u1 Debian:12.14/oldstable [amd64])
Conf qemu-system-common (1:7.2+dfsg-7+deb12u18+b2 Debian:12.14/oldstable [amd64])
Conf qemu-system-arm (1:7.2+dfsg-7+deb12u18+b2 Debian:12.14/oldstable [amd64])
";

    /// The same with --no-remove: it stops after the lists.
    const REFUSES: &str = "\
The following packages will be REMOVED:
  qemu-block-extra* qemu-utils
The following NEW packages will be installed:
  qemu-system-arm qemu-system-common qemu-system-data
0 upgraded, 25 newly installed, 1 to remove and 80 not upgraded.
E: Packages need to be removed but remove is disabled.
";

    /// The same with qemu-utils named, which has no version that fits.
    const CONFLICT: &str = "\
qemu-utils is already the newest version (1:10.0.2+ds-2+deb13u1~bpo12+1).
Some packages could not be installed. This may mean that you have
requested an impossible situation or if you are using the unstable
distribution that some required packages have not yet been created
or been moved out of Incoming.
The following information may help to resolve the situation:

The following packages have unmet dependencies:
 qemu-utils : Breaks: qemu-system-common (< 1:8.0+dfsg-5~) but 1:7.2+dfsg-7+deb12u18+b3 is to be installed
E: Unable to correct problems, you have held broken packages.
";

    /// The same with qemu-utils of an older point release, named.
    const UPGRADES: &str = "\
The following packages will be upgraded:
  qemu-utils
1 upgraded, 52 newly installed, 0 to remove and 6 not upgraded.
Inst qemu-utils [1:7.2+dfsg-7+deb12u15] (1:7.2+dfsg-7+deb12u18+b3 Debian:12.15/oldstable [amd64])
Inst qemu-system-common (1:7.2+dfsg-7+deb12u18+b3 Debian:12.15/oldstable [amd64])
Inst qemu-system-arm (1:7.2+dfsg-7+deb12u18+b3 Debian:12.15/oldstable [amd64])
";

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Plans with what apt prints at the first question and at the second.
    fn planned(second: (&str, bool), held: &str) -> Plan {
        plan_by(&names("qemu-system-arm"), &names(held), |packages| {
            Ok(match packages.len() {
                1 => Simulation::parse(REMOVES, true),
                _ => {
                    assert_eq!(packages, names("qemu-system-arm qemu-utils"));
                    Simulation::parse(second.0, second.1)
                }
            })
        })
        .unwrap()
    }

    #[test]
    fn removals_are_read_from_both_forms() {
        let simulation = Simulation::parse(REMOVES, true);
        assert_eq!(simulation.removals, names("qemu-utils"));
        assert_eq!(
            simulation.installs,
            names("libbrlapi0.8 qemu-system-common qemu-system-arm")
        );
        assert!(!simulation.is_clean());
        assert_eq!(
            Simulation::parse(REFUSES, false).removals,
            names("qemu-block-extra qemu-utils")
        );
        assert!(Simulation::parse(UPGRADES, true).is_clean());
    }

    #[test]
    fn a_package_in_the_way_is_upgraded_in_the_same_call() {
        assert_eq!(
            planned((UPGRADES, true), ""),
            Plan::Install(names("qemu-system-arm qemu-utils"))
        );
    }

    #[test]
    fn one_that_cannot_be_upgraded_is_never_removed() {
        let Plan::Blocked(sentence) = planned((CONFLICT, false), "") else {
            panic!("it must be blocked");
        };
        assert!(
            sentence.starts_with("qemu-system-arm cannot be installed beside qemu-utils"),
            "{sentence}"
        );
        assert!(sentence.contains("Breaks: qemu-system-common (< 1:8.0"), "{sentence}");
        assert!(sentence.contains("backports"), "{sentence}");
    }

    #[test]
    fn a_held_package_is_named_with_its_remedy() {
        let Plan::Blocked(sentence) = planned((CONFLICT, false), "vim qemu-utils") else {
            panic!("it must be blocked");
        };
        assert!(sentence.contains("`apt-mark unhold qemu-utils`"), "{sentence}");
    }

    #[test]
    fn a_package_that_nobody_has_is_impossible() {
        let plan = plan_by(&names("no-such"), &[], |_| {
            Ok(Simulation::parse("E: Unable to locate package no-such\n", false))
        });
        let expected = "apt cannot install no-such on this system";
        assert_eq!(plan.unwrap(), Plan::Impossible(expected.to_owned()));
    }
}
