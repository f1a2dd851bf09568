//! The small models that every core runs are what their generator makes. After a change that means to change them:
//! `BLESS=1 cargo test --test parity_models`.
#![cfg(feature = "alloc")]

mod common;

use ancestral::{W4A8, W8A8};
use common::{PARITY, byte_spec, float_spec_of, half_spec, integer_spec, shaped, values};
use std::path::Path;

#[test]
fn parity_models_are_current() {
    let float = float_spec_of(&PARITY, 5);
    let (shaped, values) = (shaped(&float), values(&float));
    for (format, bytes) in [
        ("shaped-f32", shaped.to_bytes()),
        ("shaped-w8a16", integer_spec(&shaped).to_bytes()),
        ("values-f32", values.to_bytes()),
        ("values-w8a16", integer_spec(&values).to_bytes()),
        ("f32", float.to_bytes()),
        ("f16", half_spec(&float).to_bytes()),
        ("w8a16", integer_spec(&float).to_bytes()),
        ("w8a8", byte_spec::<W8A8>(&float, 8).to_bytes()),
        ("w4a8", byte_spec::<W4A8>(&float, 4).to_bytes()),
    ] {
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
