//! One pass over everything that a command needs, before anything is built.

use anyhow::{Result, bail};

use crate::process;
use crate::setup::distro::{self, Compiler};
use crate::setup::needs::Needs;
use crate::setup::route::Route;
use crate::setup::simulate::{self, Plan};
use crate::setup::{apt, beside, mpi, qemu, rustup};

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    /// Name, with the reason.
    what: String,
    /// Packages of Debian and Ubuntu that bring it.
    packages: Vec<String>,
    /// Another command that brings it.
    command: Option<String>,
    /// Advice for other systems.
    advice: Option<&'static str>,
    /// True where the command can go on without it.
    optional: bool,
}

impl Item {
    fn new(what: impl Into<String>, packages: &[String]) -> Self {
        Self {
            what: what.into(),
            packages: packages.to_vec(),
            command: None,
            advice: None,
            optional: false,
        }
    }
}

/// Everything that is missing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Missing(Vec<Item>);

/// Finds everything that is missing and installs it, or fails with the command that does.
pub fn provide(needs: &Needs) -> Result<()> {
    let mut missing = Missing::find(needs)?;
    if missing.wants_apt() && apt::present() {
        missing = missing.installed(needs)?;
    }
    missing.required()?;
    if !missing.0.is_empty() {
        println!("going on without {}. {}", missing.names(), missing.remedy());
    }
    for &target in &needs.targets {
        if Route::to(target)? == Route::Rustup {
            rustup::add_target(target)?;
        }
    }
    Ok(())
}

impl Missing {
    fn find(needs: &Needs) -> Result<Self> {
        let mut items = Vec::new();
        let mut distribution = false;
        for &target in &needs.targets {
            distribution |= Route::to(target)? == Route::Distro;
        }
        if distribution {
            items.extend(compiler(needs.checks));
        }
        for machine in &needs.machines {
            if !qemu::present(machine) {
                items.push(Item {
                    advice: Some(qemu::ADVICE),
                    ..Item::new(machine.qemu, &[machine.qemu_package.to_owned()])
                });
            }
        }
        if needs.checks {
            items.extend(components());
            if !mpi::available() {
                items.push(Item {
                    optional: true,
                    ..Item::new("MPI and clang", &mpi::PACKAGES.map(str::to_owned))
                });
            }
        }
        Ok(Self(unique(items)))
    }

    fn wants_apt(&self) -> bool {
        self.0.iter().any(|item| !item.packages.is_empty())
    }

    /// Packages of the items that `chosen` picks, each once.
    fn packages(&self, chosen: impl Fn(&Item) -> bool) -> Vec<String> {
        let mut packages = Vec::new();
        for name in self
            .0
            .iter()
            .filter(|item| chosen(item))
            .flat_map(|item| &item.packages)
        {
            if !packages.contains(name) {
                packages.push(name.clone());
            }
        }
        packages
    }

    /// Installs what apt can and returns what is still missing.
    fn installed(mut self, needs: &Needs) -> Result<Self> {
        // A command outside apt's reach is missing too: nothing is installed, and the sentence names everything at
        // once.
        let may_install = apt::usable() && self.0.iter().all(|item| item.command.is_none());
        if may_install {
            println!("missing: {}", self.names());
            if let Err(error) = apt::update() {
                eprintln!("{error:#}; going on with the old list");
            }
            // By the names of the new list.
            self = Self::find(needs)?;
        }
        if let Some(sentence) = self.unpacked_beside()? {
            println!("{sentence}");
            self = Self::find(needs)?;
        }
        if !may_install || !self.wants_apt() {
            return Ok(self);
        }
        if self.names_compiler() {
            distro::check_offer()?;
        }
        self.install()?;
        Self::find(needs)
    }

    /// Installs everything in one call; where that fails, what is required.
    fn install(&self) -> Result<()> {
        let required = self.packages(|item| !item.optional);
        match install(&self.packages(|_| true)) {
            Err(error) if required.is_empty() => eprintln!("{error:#}"),
            Err(error) if required.len() < self.packages(|_| true).len() => {
                eprintln!("{error:#}; trying without what can be left out");
                install(&required)?;
            }
            result => result?,
        }
        Ok(())
    }

    fn names_compiler(&self) -> bool {
        self.0.iter().any(|item| item.advice == Some(TARGETS))
    }

    /// Unpacks the emulators where apt could install them only by removing another package. Returns why.
    fn unpacked_beside(&self) -> Result<Option<String>> {
        let emulators = self.packages(|item| item.advice == Some(qemu::ADVICE));
        if emulators.is_empty() {
            return Ok(None);
        }
        match simulate::plan(&emulators)? {
            Plan::Install(_) | Plan::Impossible(_) => Ok(None),
            Plan::Blocked(sentence) => match beside::unpack(&emulators) {
                Ok(()) => Ok(Some(sentence)),
                Err(error) => Err(error.context(sentence)),
            },
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|item| item.what.as_str()).collect();
        names.join(", ")
    }

    /// Fails where something is missing that the command cannot go on without.
    fn required(&self) -> Result<()> {
        if self.0.iter().all(|item| item.optional) {
            return Ok(());
        }
        bail!("missing: {}. {}", self.names(), self.remedy())
    }

    /// One command that brings everything, or advice for systems without apt.
    fn remedy(&self) -> String {
        self.remedy_by(apt::present().then_some(apt_command))
    }

    fn remedy_by(&self, apt: Option<fn(Vec<String>) -> String>) -> String {
        let mut commands: Vec<String> = Vec::new();
        for command in self.0.iter().filter_map(|item| item.command.clone()) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        if let Some(apt) = apt
            && self.wants_apt()
        {
            commands.push(apt(self.packages(|_| true)));
        }
        let mut sentence = match commands.is_empty() {
            true => "Install it:".to_owned(),
            false => format!("Install it with\n\n    {}\n", commands.join(" && ")),
        };
        if apt.is_none() {
            let mut advice: Vec<_> = self.0.iter().filter_map(|item| item.advice).collect();
            advice.dedup();
            for line in advice {
                sentence.push_str(&format!("\n  {line}"));
            }
        }
        sentence
    }
}

/// Returns the command that installs packages, with those that must be upgraded with them.
fn apt_command(packages: Vec<String>) -> String {
    match simulate::plan(&packages) {
        Ok(Plan::Install(together)) => apt::command(&together),
        _ => apt::command(&packages),
    }
}

/// Advice on the compiler where there is no apt.
const TARGETS: &str = "compiler: let rustup add the targets (unset ANCESTRAL_TARGETS and RUSTUP_AUTO_INSTALL), or install your \
    distribution's library of Rust for them";

/// Returns what is missing of the distribution's compiler.
fn compiler(checks: bool) -> Vec<Item> {
    let found = Compiler::find();
    let mut items = Vec::new();
    if let Err(missing) = &found {
        items.push(Item {
            advice: Some(TARGETS),
            ..Item::new(format!("a compiler for bare metal ({missing:#})"), &distro::packages())
        });
    }
    let has_lints = found.is_ok_and(|compiler| compiler.cargo_clippy().is_some());
    if checks && !has_lints {
        items.extend(distro::lints_package().map(|package| Item {
            optional: true,
            ..Item::new("clippy of the distribution's compiler", &[package])
        }));
    }
    items
}

/// Advice on rustfmt and clippy where there is neither rustup nor apt.
const COMPONENTS: &str = "rustfmt and clippy: `rustup component add rustfmt clippy`, or your distribution's packages";

/// Returns the components of the toolchain in use that are missing, as one item.
fn components() -> Option<Item> {
    let missing = rustup::missing_components();
    if missing.is_empty() {
        return None;
    }
    let what = format!("{} of the toolchain in use", missing.join(" and "));
    if process::find_program("rustup").is_some() {
        return Some(Item {
            command: Some(format!("rustup component add {}", missing.join(" "))),
            ..Item::new(what, &[])
        });
    }
    let package = |name: &&str| if *name == "clippy" { "rust-clippy" } else { "rustfmt" }.to_owned();
    let packages: Vec<_> = missing.iter().map(package).collect();
    Some(Item {
        advice: Some(COMPONENTS),
        ..Item::new(what, &packages)
    })
}

fn unique(items: Vec<Item>) -> Vec<Item> {
    let mut kept: Vec<Item> = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

/// Installs packages in one call, together with those that must be upgraded with them.
fn install(packages: &[String]) -> Result<()> {
    match simulate::plan(packages)? {
        Plan::Install(packages) => apt::install(&packages),
        Plan::Blocked(sentence) | Plan::Impossible(sentence) => bail!("{sentence}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Missing {
        let package = |name: &str| [name.to_owned()];
        Missing(vec![
            Item::new("a compiler", &package("rustc-web")),
            Item::new("qemu-system-arm", &package("qemu-system-arm")),
            Item {
                command: Some("rustup component add clippy".to_owned()),
                ..Item::new("clippy", &[])
            },
            Item {
                optional: true,
                ..Item::new("MPI", &package("openmpi-bin"))
            },
        ])
    }

    #[test]
    fn one_command_brings_everything() {
        assert_eq!(sample().names(), "a compiler, qemu-system-arm, clippy, MPI");
        let remedy = sample().remedy_by(Some(|packages| apt::command(&packages)));
        assert!(
            remedy.contains("rustup component add clippy && ") && remedy.contains("apt-get update && "),
            "{remedy}"
        );
        assert!(remedy.contains("rustc-web qemu-system-arm openmpi-bin"), "{remedy}");
    }

    #[test]
    fn a_system_without_apt_gets_advice() {
        let mut missing = sample();
        missing.0[1].advice = Some(qemu::ADVICE);
        let remedy = missing.remedy_by(None);
        assert!(
            remedy.contains("rustup component add clippy") && remedy.contains("brew install qemu"),
            "{remedy}"
        );
        assert!(!remedy.contains("apt-get"), "{remedy}");
    }

    #[test]
    fn what_can_be_left_out_is_no_error() {
        let mut missing = sample();
        missing.0.retain(|item| item.optional);
        missing.required().unwrap();
        assert!(missing.wants_apt());
    }

    #[test]
    fn an_item_is_named_once() {
        let item = || Item::new("qemu-system-arm", &["qemu-system-arm".to_owned()]);
        assert_eq!(unique(vec![item(), item()]).len(), 1);
    }
}
