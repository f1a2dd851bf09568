//! The target by the distribution's packages.
//!
//! Debian and Ubuntu carry a compiler and the source of its library, but not the library for
//! bare-metal targets. `core` and `alloc` are built from that source, once per compiler, into a
//! sysroot in the build folder: nothing outside the repository changes, and the user's own
//! toolchain stays the one that cargo and the desktop's builds use.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::process;
use crate::progress;
use crate::setup::apt;
use crate::setup::rustc::{self, Version};

/// Libraries of the sysroot; everything else a firmware brings itself.
const LIBRARIES: [&str; 3] = ["core", "alloc", "compiler_builtins"];

/// Packages of compiler, library source and lints. Debian's `-web` family follows new releases
/// inside a stable distribution, beside the one that the distribution was released with.
const FAMILIES: [[&str; 3]; 2] = [
    ["rustc-web", "rust-web-src", "rust-web-clippy"],
    ["rustc", "rust-src", "rust-clippy"],
];

/// The distribution's compiler, with all that it needs for bare metal.
#[derive(Debug)]
pub struct Compiler {
    /// The compiler.
    pub rustc: PathBuf,
    /// Version that it reports.
    pub version: Version,
    /// LLVM's linker.
    pub linker: PathBuf,
}

impl Compiler {
    /// Finds it; the error says which part is missing.
    pub fn find() -> Result<Self> {
        let rustc = PathBuf::from("/usr/bin/rustc");
        let real = fs::canonicalize(&rustc).unwrap_or_default();
        // Packaged rustup puts its proxy there.
        if !rustc.is_file() || real.ends_with("rustup") {
            bail!("there is no compiler of the distribution's (/usr/bin/rustc)");
        }
        let version = Version::ask(&rustc)?;
        if !rustc::recent_enough(&version.release) {
            bail!(
                "the distribution's rustc is {}, this project needs {}",
                version.release,
                env!("CARGO_PKG_RUST_VERSION")
            );
        }
        let sysroot = sysroot_of(&rustc)?;
        if !sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file() {
            bail!("the source of the distribution's library is missing");
        }
        let Some(linker) = newest_linker() else {
            bail!("LLVM's linker (ld.lld) is missing")
        };
        Ok(Self { rustc, version, linker })
    }

    /// The `cargo-clippy` that belongs to this compiler.
    pub fn cargo_clippy(&self) -> Option<PathBuf> {
        let (cargo, driver) = (
            self.rustc.with_file_name("cargo-clippy"),
            self.rustc.with_file_name("clippy-driver"),
        );
        let real = fs::canonicalize(&cargo).ok()?;
        (driver.is_file() && !real.ends_with("rustup")).then_some(cargo)
    }

    /// The sysroot with the target's library; builds it the first time.
    pub fn ensure_sysroot(&self, target: &str) -> Result<PathBuf> {
        let sysroot = paths::target().join("sysroot").join(self.version.folder());
        let library = sysroot.join("lib/rustlib").join(target).join("lib");
        let complete = library.join("complete");
        if !complete.is_file() {
            println!(
                "building core and alloc for {target} with rustc {}",
                self.version.release
            );
            self.link_host(&sysroot)?;
            self.build_library(&sysroot.join("build").join(target), target, &library)
                .with_context(|| format!("cannot build the library for {target}"))?;
            // Written last: a build that was interrupted starts again.
            fs::write(&complete, "").with_context(|| cannot_write(&complete))?;
        }
        Ok(sysroot)
    }

    /// Build scripts and procedural macros need the desktop's library in the same sysroot.
    fn link_host(&self, sysroot: &Path) -> Result<()> {
        let original = sysroot_of(&self.rustc)?.join("lib/rustlib").join(&self.version.host);
        let link = sysroot.join("lib/rustlib").join(&self.version.host);
        let parent = link.parent().unwrap_or(sysroot);
        fs::create_dir_all(parent).with_context(|| cannot_write(parent))?;
        if link.symlink_metadata().is_err() {
            symlink(&original, &link).with_context(|| cannot_write(&link))?;
        }
        Ok(())
    }

    fn build_library(&self, work: &Path, target: &str, library: &Path) -> Result<()> {
        // What an interrupted build left must not end up in the sysroot twice.
        for folder in [work, library] {
            if folder.exists() {
                fs::remove_dir_all(folder).with_context(|| cannot_write(folder))?;
            }
            fs::create_dir_all(folder).with_context(|| cannot_write(folder))?;
        }
        write(&work.join("Cargo.toml"), EMPTY_MANIFEST)?;
        write(&work.join("lib.rs"), "#![no_std]\n")?;
        let output = work.join("target");
        let mut cargo = process::cargo();
        cargo
            .current_dir(work)
            .args(["build", "--quiet", "--release", "--target", target])
            .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"])
            .arg("--target-dir")
            .arg(&output)
            .env("RUSTC", &self.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            // Bitcode, so that a firmware's link-time optimization sees the library too.
            .env("CARGO_ENCODED_RUSTFLAGS", "-Cembed-bitcode=yes");
        progress::during(&format!("building core and alloc for {target}"), || {
            process::run(&mut cargo)
        })?;
        let built = output.join(target).join("release/deps");
        let found = rustc::libraries(&built, &LIBRARIES);
        if found.len() != LIBRARIES.len() {
            bail!("{} should hold one library each of {LIBRARIES:?}", built.display());
        }
        for path in found {
            let copy = library.join(path.file_name().unwrap_or_default());
            fs::copy(&path, &copy).with_context(|| cannot_write(&copy))?;
        }
        fs::remove_dir_all(work).with_context(|| cannot_write(work))
    }
}

const EMPTY_MANIFEST: &str = r#"[package]
name = "sysroot"
version = "0.0.0"
edition = "2024"

[lib]
path = "lib.rs"

[workspace]
"#;

/// Returns the first family that is recent enough.
fn recent_family() -> Option<[&'static str; 3]> {
    FAMILIES
        .into_iter()
        .find(|[rustc, ..]| apt::candidate(rustc).is_some_and(|version| rustc::recent_enough(&version)))
}

/// Returns the family to name where the lists may be too old to know a recent one.
fn likely_family() -> [&'static str; 3] {
    let known = || FAMILIES.into_iter().find(|[rustc, ..]| apt::candidate(rustc).is_some());
    recent_family().or_else(known).unwrap_or(FAMILIES[0])
}

/// Returns the packages of compiler, library source and linker, the newest that apt knows. Where its lists are too old,
/// the linker is a shell command that names it after an update.
pub fn packages() -> [String; 3] {
    let [rustc, source, _] = likely_family();
    let linker = match recent_family() {
        Some(_) => apt::newest("lld-").unwrap_or_else(|| "lld".to_owned()),
        None => NEWEST_LINKER.to_owned(),
    };
    [rustc.to_owned(), source.to_owned(), linker]
}

/// A shell command that prints the newest linker's package. It has no single quotes, because it may stand between two.
const NEWEST_LINKER: &str = r#"$(apt-cache search --names-only "^lld-[0-9]+$" | sort -V | tail -n 1 | cut -d" " -f1)"#;

/// Fails where even up-to-date lists have no compiler that is recent enough.
pub fn check_offer() -> Result<()> {
    if recent_family().is_some() {
        return Ok(());
    }
    bail!(
        "this distribution has no package of Rust {} or newer; unset ANCESTRAL_TARGETS and let rustup add the targets",
        env!("CARGO_PKG_RUST_VERSION")
    )
}

/// Returns the package of the lints, where the distribution may have it. Nothing is built with it, so its absence is no
/// error.
pub fn lints_package() -> Option<String> {
    let [_, _, clippy] = likely_family();
    let lists_are_empty = FAMILIES.iter().all(|[rustc, ..]| apt::candidate(rustc).is_none());
    (lists_are_empty || apt::candidate(clippy).is_some()).then(|| clippy.to_owned())
}

fn sysroot_of(rustc: &Path) -> Result<PathBuf> {
    let text = process::capture(Command::new(rustc).args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(text.trim()))
}

/// `ld.lld-<highest number>` in the search path, or plain `ld.lld`.
fn newest_linker() -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let names: Vec<String> = env::split_paths(&folders)
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.flatten())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let newest = apt::newest_of("ld.lld-", names.iter().map(String::as_str));
    process::find_program(newest.as_deref().unwrap_or("ld.lld"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(unix)]
fn symlink(original: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other("distribution packages are for Debian and Ubuntu"))
}
