//! The small models that every core runs are what their generator makes. After a change that means to change them:
//! `BLESS=1 cargo test --test parity_models`.
#![cfg(feature = "alloc")]

mod common;

use ancestral::for_each_format;
use common::{FromFloat, PARITY, decoding, float_spec_of, integer_spec, odds, shaped, values};
use std::path::Path;

/// Adds the model in every format.
macro_rules! plain_files {
    ($float:ident, $files:ident; $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        $($files.push(($name, ancestral::$format::from_float(&$float).to_bytes()));)*
    };
}

#[test]
fn parity_models_are_current() {
    let clipped = float_spec_of(&PARITY, 5);
    let float = decoding(&odds(&clipped), Vec::new());
    let (shaped, values) = (shaped(&odds(&clipped)), values(&clipped));
    let mut files = vec![
        ("clipped-f32", clipped.to_bytes()),
        ("clipped-w8a16", integer_spec(&clipped).to_bytes()),
        ("shaped-f32", shaped.to_bytes()),
        ("shaped-w8a16", integer_spec(&shaped).to_bytes()),
        ("values-f32", values.to_bytes()),
        ("values-w8a16", integer_spec(&values).to_bytes()),
    ];
    for_each_format!(plain_files, float, files;);
    for (format, bytes) in files {
        let bytes = bytes.unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/parity-{format}.vdm"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        let stored = std::fs::read(&path).unwrap_or_default();
        assert!(
            stored == bytes,
            "{} is not current: renew it with BLESS=1",
            path.display()
        );
    }
}
