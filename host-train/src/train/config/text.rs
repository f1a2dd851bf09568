//! Reading a configuration from TOML and writing it back.

use super::schema::Config;
use anyhow::{Context, Result};
use std::path::Path;

impl Config {
    /// Reads and checks a configuration. Its paths begin at its folder and become absolute.
    ///
    /// # Errors
    /// The message names the file, the line and the key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let mut config =
            Self::parse(&text).with_context(|| format!("the configuration {} is not usable", path.display()))?;
        config.data = config.data.anchored(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Parses and checks TOML text.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| in_one_line(text, &error))?;
        config.check()?;
        Ok(config)
    }

    /// Returns the configuration as TOML text.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// Returns the parser's message with its line, but without the excerpt that takes several lines.
fn in_one_line(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => anyhow::anyhow!("line {line}: {}", error.message()),
        None => anyhow::anyhow!("{}", error.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = include_str!("../../../configs/digits.toml");

    #[test]
    fn shipped_configurations_are_read_and_written_back() {
        for text in [
            DIGITS,
            include_str!("../../../configs/demo.toml"),
            include_str!("../../../configs/digits-continuous.toml"),
        ] {
            let config = Config::parse(text).unwrap();
            assert_eq!(Config::parse(&config.to_toml().unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Config::parse(&DIGITS.replace("warmup", "warm_up")).unwrap_err();
        let sentence = format!("{error:#}");
        assert!(sentence.contains("line 24: unknown field `warm_up`"), "{sentence}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        let text = format!("{DIGITS}\nvalidate_every = 400\n");
        Config::parse(&text).unwrap();
        for (from, to, key) in [
            ("batch = 256", "batch = 0", "train.batch"),
            ("ema = 0.9995", "ema = 1.0", "train.ema"),
            ("steps = 64 ", "steps = 0 ", "model.steps"),
            (
                "learn_gamma = true",
                "learn_gamma = true\ngamma_first = -3.0\ngamma_last = -9.0",
                "model.gamma_last",
            ),
            ("hidden = [256, 256, 256, 256]", "hidden = []", "model.hidden"),
            ("weight_decay = 0.6", "weight_decay = -1.0", "train.weight_decay"),
            ("log_every = 100", "log_every = 100\npatience = 0", "train.patience"),
            ("validation_rows = 200", "", "set data.validation_rows"),
        ] {
            assert!(text.contains(from), "{from}");
            let sentence = format!("{:#}", Config::parse(&text.replace(from, to)).unwrap_err());
            assert!(sentence.contains(key), "{sentence}");
        }
    }
}
