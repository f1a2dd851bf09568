//! Puts the model, the number of samples and the board's memory where the firmware finds them.

use ancestral::model::Header;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The memory of the MPS2 board with image AN386. For another board, write its own sizes here.
const MEMORY: &str = "MEMORY
{
  FLASH : ORIGIN = 0x00000000, LENGTH = 4M
  RAM : ORIGIN = 0x20000000, LENGTH = 4M
}
";

fn main() {
    if let Err(sentence) = prepare() {
        println!("cargo::error={sentence}");
    }
}

fn prepare() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?.ok_or("cargo sets no OUT_DIR")?);
    let model = variable("ANCESTRAL_MODEL")?.unwrap_or_else(|| "../../models/digits-t8-w8a16.vdm".to_owned());
    println!("cargo::rerun-if-changed={model}");
    println!("cargo::rerun-if-changed=build.rs");
    if !Path::new(&model).is_file() {
        return Err(format!(
            "there is no model file {model}: set ANCESTRAL_MODEL to the path of another one, or make it with \
             `cargo xtask models`"
        ));
    }
    fs::copy(&model, out.join("model.vdm")).map_err(|error| format!("cannot copy the model {model}: {error}"))?;

    let format = format_of(&model)?;
    let count: u32 = number("ANCESTRAL_COUNT", 10)?;
    let seed: u64 = number("ANCESTRAL_SEED", 7)?;
    write(
        &out.join("settings.rs"),
        &format!(
            "/// Number format of the model.\npub type Format = ancestral::{format};\n\
             /// How many samples are drawn.\npub const COUNT: u32 = {count};\n\
             /// Seed of the generator.\npub const SEED: u64 = {seed};\n"
        ),
    )?;

    write(&out.join("memory.x"), MEMORY)?;
    println!("cargo::rustc-link-search={}", out.display());
    // Here and not in .cargo/config.toml, where the environment's RUSTFLAGS would replace them.
    println!("cargo::rustc-link-arg=--nmagic");
    println!("cargo::rustc-link-arg=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg=-Tdefmt.x");
    }
    Ok(())
}

/// The type of the model's number format. Everything else about the file is checked where it is included.
fn format_of(model: &str) -> Result<&'static str, String> {
    let bytes = fs::read(model).map_err(|error| format!("cannot read the model {model}: {error}"))?;
    match Header::read(&bytes) {
        Ok(header) => Ok(header.format.type_name()),
        Err(error) => Err(format!("{model}: {error}")),
    }
}

fn variable(name: &str) -> Result<Option<String>, String> {
    println!("cargo::rerun-if-env-changed={name}");
    match env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is not UTF-8")),
    }
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T, String> {
    match variable(name)? {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| format!("{name} is {text:?}; it must be a whole number that is not negative")),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
