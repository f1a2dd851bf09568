//! A tiny run: 2×2 pictures of 5 levels.
#![allow(dead_code)] // each test program uses its own part

use host_train::data::{self, Split};
use host_train::train::checkpoint::Run;
use host_train::train::config::{Config, DecoderKind, PredictionKind};
use std::path::{Path, PathBuf};

/// Reports that a test was left out, with the reason, so that it does not pass for one that ran. `cargo xtask test`
/// sets `ANCESTRAL_SKIPPED` to a folder, counts the files there and names them in its last lines.
pub fn left_out(test: &str, reason: &str) {
    eprintln!("left out: {test}: {reason}");
    if let Some(folder) = std::env::var_os("ANCESTRAL_SKIPPED") {
        std::fs::write(Path::new(&folder).join(test), format!("{test}: {reason}\n")).unwrap();
    }
}

/// The configuration, with the data file's name.
pub fn config_text(data: &str) -> String {
    format!(
        r#"
seed = 3
[data]
source = "{data}"
levels = 5
[model]
hidden = [16, 16]
embedding = 8
prediction = "v"
decoder = "factorized"
steps = 8
gamma_first = -4.0
gamma_last = 6.0
learn_gamma = true
clip = true
[train]
steps = 40
batch = 32
learning_rate = 3e-3
gamma_learning_rate = 3e-3
final_fraction = 0.1
warmup = 5
weight_decay = 0.01
clip_norm = 1.0
ema = 0.9
checkpoint_seconds = 60
log_every = 10
"#
    )
}

/// 60 rows: the left column follows the top left value, the right column is its opposite.
pub fn data_text() -> String {
    let row = |i: usize| {
        let a = [0, 1, 3, 4, 4][i % 5];
        let jitter = usize::from(i.is_multiple_of(7) && a < 4);
        format!("{a},{},{},{}\n", 4 - a, a + jitter, 4 - a)
    };
    (0..60).map(row).collect()
}

/// Writes data and configuration into a folder; returns the configuration's path.
pub fn files(folder: &Path) -> PathBuf {
    std::fs::write(folder.join("data.csv"), data_text()).unwrap();
    let path = folder.join("tiny.toml");
    std::fs::write(&path, config_text("data.csv")).unwrap();
    path
}

/// Lets a configuration predict odds, with the network as decoder.
pub fn predict_odds(config: &mut Config) {
    config.model.prediction = PredictionKind::Odds;
    config.model.decoder = DecoderKind::Network;
    config.model.clip = false;
}

/// Makes the data of a configuration continuous, with the network as decoder.
pub fn decode_values(config: &mut Config) {
    config.data.levels = None;
    config.model.decoder = DecoderKind::Network;
    config.model.clip = false;
}

/// A run that has not begun, and its data.
pub fn run(folder: &Path) -> (Run, Split) {
    let config = Config::read(&files(folder)).unwrap();
    let split = data::load(&config.data, folder).unwrap();
    let run = Run::for_data(config, &split, &candle_core::Device::Cpu).unwrap();
    (run, split)
}
