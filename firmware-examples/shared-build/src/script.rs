//! Steps of a firmware's build script: the model, the settings, the memory.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ancestral::model::Header;

use crate::machine::Machine;

/// Runs a build script; its error becomes cargo's.
pub fn run(prepare: impl FnOnce() -> Result<(), String>) {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(sentence) = prepare() {
        println!("cargo::error={sentence}");
    }
}

/// Links for the machine that `ANCESTRAL_MACHINE` names; without it, for `mps2-an386`, or for `virt` on RISC-V.
///
/// # Errors
/// A sentence where there is no such machine, or a file cannot be written.
pub fn link_for_machine() -> Result<(), String> {
    let default = if is_riscv() { "virt" } else { "mps2-an386" };
    let name = variable("ANCESTRAL_MACHINE")?.unwrap_or_else(|| default.to_owned());
    let machine = Machine::find(&name).map_err(|sentence| format!("ANCESTRAL_MACHINE: {sentence}"))?;
    link_with(&machine.memory.script(is_riscv()))
}

/// Links with the board's own `memory.x`, a path from the package's folder.
///
/// # Errors
/// A sentence where a file cannot be read or written.
pub fn link_with_file(path: &str) -> Result<(), String> {
    println!("cargo::rerun-if-changed={path}");
    let script = fs::read_to_string(path).map_err(|error| format!("cannot read the memory map {path}: {error}"))?;
    link_with(&script)
}

/// Puts the memory map where the linker finds it. The flags are given here and not in `.cargo/config.toml`, where the
/// environment's `RUSTFLAGS` would replace them.
fn link_with(script: &str) -> Result<(), String> {
    let out = out_dir()?;
    write(&out.join("memory.x"), script)?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg=--nmagic");
    if is_riscv() {
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg=-Tlink.x");
    Ok(())
}

/// Copies the model that `ANCESTRAL_MODEL` names to `OUT_DIR/model.vdm` and writes `OUT_DIR/model.rs`, which names the
/// type of its number format `ModelFormat`.
///
/// # Errors
/// A sentence where the file is missing or is no model.
pub fn place_model(default: &str) -> Result<(), String> {
    let out = out_dir()?;
    let model = variable("ANCESTRAL_MODEL")?.unwrap_or_else(|| default.to_owned());
    println!("cargo::rerun-if-changed={model}");
    if !Path::new(&model).is_file() {
        return Err(format!(
            "there is no model file {model}: set ANCESTRAL_MODEL to the path of another one, or make it with \
             `cargo xtask models`"
        ));
    }
    let bytes = fs::read(&model).map_err(|error| format!("cannot read the model {model}: {error}"))?;
    let header = Header::read(&bytes).map_err(|error| format!("{model}: {error}"))?;
    fs::write(out.join("model.vdm"), bytes).map_err(|error| format!("cannot copy the model {model}: {error}"))?;
    write(
        &out.join("model.rs"),
        &format!(
            "/// Number format of the model.\npub type ModelFormat = ancestral::{};\n",
            header.format.type_name()
        ),
    )
}

/// Writes `OUT_DIR/settings.rs` with the number of samples `COUNT` and the generator's `SEED`, from `ANCESTRAL_COUNT`
/// and `ANCESTRAL_SEED`; 10 and 7 where they are not set.
///
/// # Errors
/// A sentence where one of them is not a whole number.
pub fn place_settings() -> Result<(), String> {
    let count: u32 = number("ANCESTRAL_COUNT", 10)?;
    let seed: u64 = number("ANCESTRAL_SEED", 7)?;
    write(
        &out_dir()?.join("settings.rs"),
        &format!(
            "/// Number of samples.\npub const COUNT: u32 = {count};\n\
             /// Seed of the generator.\npub const SEED: u64 = {seed};\n"
        ),
    )
}

/// Reads an environment variable, and runs the build script again when it changes.
///
/// # Errors
/// A sentence where it is not UTF-8.
pub fn variable(name: &str) -> Result<Option<String>, String> {
    println!("cargo::rerun-if-env-changed={name}");
    match env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is not UTF-8")),
    }
}

fn number<T: FromStr>(name: &str, default: T) -> Result<T, String> {
    match variable(name)? {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| format!("{name} is {text:?}; it must be a whole number that is not negative")),
    }
}

fn out_dir() -> Result<PathBuf, String> {
    env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or_else(|| "cargo sets no OUT_DIR".to_owned())
}

fn is_riscv() -> bool {
    env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "riscv32")
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
