//! The whole way once: `host-train fit` trains, exports, evaluates and samples on the desktop. The demo adds the
//! emulated board: it draws the same samples there, compares them byte for byte, and leaves a picture and a report with
//! both.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::boards::{BOARDS, Board};
use crate::compare;
use crate::firmware::{self, Content, Echo};
use crate::host_train::HostTrain;
use crate::paths;
use crate::setup::{self, Toolchain};

/// Folder of all results, from the root of the workspace.
const FOLDER: &str = "runs/demo";
/// Number formats. The board's comes last.
const FORMATS: [&str; 2] = ["f32", "w8a16"];
const BOARD_FORMAT: &str = FORMATS[1];

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Number of samples drawn by each format and by the board
    #[arg(long, default_value_t = 100)]
    count: u32,
    /// Seed of the samples
    #[arg(long, default_value_t = Content::SEED)]
    seed: u64,
}

/// `cargo xtask demo`.
pub fn command(args: &Args) -> Result<()> {
    let start = Instant::now();
    let board = &BOARDS[0];
    heading("set-up");
    let toolchain = setup::ensure_board(board)?;
    let host_train = HostTrain::release()?;

    heading("training, export, exact likelihood of the held-out digits, samples (about two minutes)");
    fit(&host_train, args)?;
    let results = scores()?;

    heading(&format!("samples on the emulated board ({})", board.name));
    let hex = on_board(&host_train, board, &toolchain, args)?;

    heading("report");
    let report = format!("{FOLDER}/report.html");
    let mut arguments = vec!["report".to_owned(), FOLDER.to_owned()];
    for format in FORMATS {
        arguments.extend(["--models".to_owned(), model(format)]);
    }
    arguments.extend([
        "--board".to_owned(),
        hex,
        "--seed".to_owned(),
        args.seed.to_string(),
        "--out".to_owned(),
        report.clone(),
    ]);
    host_train.run(&arguments)?;

    let picture = format!("{FOLDER}/grid.png");
    println!(
        "\nDone in {:.0} s. Held-out likelihood bound:",
        start.elapsed().as_secs_f64()
    );
    for (format, bits) in &results {
        println!("  {}", bits.shown(format));
    }
    println!("  picture  {}", existing(&picture)?);
    println!("  report   {}", existing(&report)?);
    for format in FORMATS {
        println!("  model    {}", existing(&model(format))?);
    }
    Ok(())
}

/// Makes the model files, their scores and samples on the desktop, and a report without the board.
fn fit(host_train: &HostTrain, args: &Args) -> Result<()> {
    let (count, seed, formats) = (args.count.to_string(), args.seed.to_string(), FORMATS.join(","));
    host_train.run([
        "fit",
        "host-train/configs/demo.toml",
        "--out",
        FOLDER,
        "--formats",
        &formats,
        "--count",
        &count,
        "--sample-seed",
        &seed,
    ])
}

/// Reads the scores that `fit` has left beside the model files.
fn scores() -> Result<Vec<(&'static str, Bits)>> {
    let read = |format| {
        let path = format!("{FOLDER}/demo-{format}.json");
        let text = fs::read_to_string(paths::root().join(&path)).with_context(|| format!("cannot read {path}"))?;
        let bits = Bits::parse(&text).with_context(|| format!("{path} holds no score"))?;
        Ok((format, bits))
    };
    FORMATS.into_iter().map(read).collect()
}

/// Draws on the board, checks that the desktop draws the same, and returns the file with the hex lines.
fn on_board(host_train: &HostTrain, board: &Board, toolchain: &Toolchain, args: &Args) -> Result<String> {
    let model = paths::root().join(model(BOARD_FORMAT));
    let content = Content {
        model,
        count: args.count,
        seed: args.seed,
    };
    let elf = firmware::build(board, toolchain, &content)?;
    // A digit takes about 0.2 s in QEMU, and many times that on a slow or busy machine.
    let timeout = Duration::from_secs(60 + 3 * u64::from(args.count));
    let start = Instant::now();
    let output = firmware::run(board.emulated()?, &elf, timeout, Echo::Pictures)?;
    let file = format!("{FOLDER}/board.hex");
    let lines = compare::hex_lines(&output);
    write(&file, &lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    let desktop = host_train.hex(&content.model, content.count, content.seed)?;
    let count = compare::same_digits(&output, &desktop).context("the board and the desktop do not draw the same")?;
    println!(
        "{count} digits in {:.1} s, byte for byte the same as on the desktop",
        start.elapsed().as_secs_f64()
    );
    Ok(file)
}

fn heading(text: &str) {
    println!("\n=== {text}");
}

fn model(format: &str) -> String {
    format!("{FOLDER}/demo-{format}.vdm")
}

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(paths::root().join(path), text).with_context(|| format!("cannot write {path}"))
}

/// Returns the path of a result, or an error if it is missing.
fn existing(path: &str) -> Result<String> {
    let whole: PathBuf = paths::root().join(Path::new(path));
    if whole.is_file() {
        return Ok(whole.display().to_string());
    }
    Err(anyhow!("{path} should have been written and is not there"))
}

/// A score as `host-train fit` writes it, in bits per dimension.
#[derive(Debug, PartialEq)]
struct Bits {
    total: f64,
    reconstruction: f64,
    prior: f64,
    diffusion: f64,
}

impl Bits {
    fn parse(text: &str) -> Result<Self> {
        let object: Value = serde_json::from_str(text).context("it is not JSON")?;
        let number = |name: &str| {
            object[name]
                .as_f64()
                .ok_or_else(|| anyhow!("the field {name:?} is not a number"))
        };
        Ok(Self {
            total: number("bits_per_dim")?,
            reconstruction: number("reconstruction")?,
            prior: number("prior")?,
            diffusion: number("diffusion")?,
        })
    }

    fn shown(&self, format: &str) -> String {
        format!(
            "{format:<6} {:.4} bits/dim (reconstruction {:.4}, prior {:.4}, diffusion {:.4})",
            self.total, self.reconstruction, self.prior, self.diffusion
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_are_read() {
        let text = r#"{"bits_per_dim": 2.5, "reconstruction": 0.5, "prior": 0.001,
            "diffusion": 1.999, "steps": 64, "format": "f32", "rows": 297}"#;
        let bits = Bits::parse(text).unwrap();
        assert_eq!(bits.total, 2.5);
        assert!(
            bits.shown("f32")
                .starts_with("f32    2.5000 bits/dim (reconstruction 0.5000")
        );
    }

    #[test]
    fn a_missing_term_is_named() {
        let message = Bits::parse(r#"{"bits_per_dim": null}"#).unwrap_err().to_string();
        assert_eq!(message, "the field \"bits_per_dim\" is not a number");
        assert_eq!(Bits::parse("epoch 1").unwrap_err().to_string(), "it is not JSON");
    }
}
