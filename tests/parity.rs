//! Every format computes here what it computes on every other core: the lines of `golden/parity.txt`, which the
//! firmware `firmware-examples/parity` prints on six emulated cores. Run in debug and in release.
//!
//! After a change that means to change them: `BLESS=1 cargo test --test parity`.

#[path = "parity/vectors.rs"]
mod vectors;

#[test]
fn the_desktop_computes_the_golden_lines() {
    let mut text = String::new();
    vectors::print(&mut |line| {
        text.push_str(&line.to_string());
        text.push('\n');
    });
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/parity.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    for (number, (found, expected)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {path}", number + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count());
    assert!(!text.contains("NaN") && text.lines().count() == 1 + (ancestral::FormatId::ALL.len() + 6) * 13);
}
