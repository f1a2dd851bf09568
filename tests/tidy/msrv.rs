//! No dependency asks for a newer Rust than `rust-version` in Cargo.toml promises.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::findings::{Finding, expect_none};
use super::sources;

/// Every manifest with a lock file of its own.
const MANIFESTS: [&str; 4] = [
    "Cargo.toml",
    "firmware-examples/bench/Cargo.toml",
    "firmware-examples/parity/Cargo.toml",
    "firmware-examples/qemu-m4/Cargo.toml",
];

/// Packages that a lock file names, with every feature and for every target, as cargo tells them.
fn packages(manifest: &Path) -> Vec<Value> {
    let metadata = |network: &[&str]| {
        Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--all-features",
                "--manifest-path",
            ])
            .arg(manifest)
            .args(network)
            .output()
            .expect("cargo runs")
    };
    // Cargo describes packages that it has downloaded; those of other targets may still be missing.
    let mut output = metadata(&["--offline"]);
    if !output.status.success() {
        output = metadata(&[]);
    }
    assert!(
        output.status.success(),
        "cargo cannot describe the dependencies of {}; run cargo fetch --locked there: {}",
        manifest.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    match metadata["packages"].take() {
        Value::Array(packages) => packages,
        other => panic!("cargo names no packages but {other}"),
    }
}

/// Major, minor and patch version; what is left out is 0.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// A finding for each package that needs a newer compiler than `promised`.
fn newer(manifest: &str, promised: &str, packages: &[Value]) -> Vec<Finding> {
    let needs = packages
        .iter()
        .filter_map(|package| Some((package, package["rust_version"].as_str()?)));
    needs
        .filter(|(_, needed)| version(needed) > version(promised))
        .map(|(package, needed)| {
            let (name, own) = (&package["name"], &package["version"]);
            let message = format!(
                "{name} {own} needs Rust {needed}, but rust-version promises {promised}: \
                 take an older one (cargo update -p {name} --precise VERSION), or raise rust-version"
            );
            Finding::new(manifest, 1, message.replace('"', ""))
        })
        .collect()
}

/// Checks every lock file against the workspace's `rust-version`.
#[test]
fn dependencies_build_with_the_oldest_compiler() {
    let mut findings = Vec::new();
    let mut promised = String::new();
    for manifest in MANIFESTS {
        let packages = packages(&sources::root().join(manifest));
        if promised.is_empty() {
            let own = packages.iter().find(|package| package["name"] == "ancestral");
            let own = own.and_then(|package| package["rust_version"].as_str());
            promised = own.expect("the package states its rust-version").into();
        }
        println!("{manifest}: {} packages, Rust {promised}", packages.len());
        findings.extend(newer(manifest, &promised, &packages));
    }
    expect_none(findings);
}

/// Every folder with a lock file is in the list, so that a new firmware is checked, too.
#[test]
fn every_lock_file_is_checked() {
    let sources = sources::read();
    let own: Vec<_> = sources
        .keys()
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter(|path| sources::root().join(path).with_file_name("Cargo.lock").exists())
        .collect();
    assert_eq!(
        own, MANIFESTS,
        "name every manifest with a lock file in tests/tidy/msrv.rs"
    );
}

#[test]
fn a_package_that_needs_a_newer_compiler_is_found() {
    let packages = r#"[{"name": "old", "version": "1.0.0", "rust_version": "1.90"},
        {"name": "new", "version": "2.0.0", "rust_version": "1.90.1"},
        {"name": "silent", "version": "3.0.0", "rust_version": null}]"#;
    let packages: Vec<Value> = serde_json::from_str(packages).expect("the test's own JSON");
    let found = newer("Cargo.toml", "1.90", &packages);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].message.starts_with("new 2.0.0 needs Rust 1.90.1"),
        "{}",
        found[0]
    );
    assert_eq!(newer("Cargo.toml", "1.91", &packages), []);
}
