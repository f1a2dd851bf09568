//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of the workspace.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // What cargo says now comes first: a repository that was moved with its build folder is not built again, and
        // would look for itself where it was.
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        package.parent().map_or_else(PathBuf::new, Path::to_path_buf)
    })
}

/// The folder of cargo's build output for the workspace.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Build output of bare-metal builds: apart from the desktop's, because the compiler may be
/// another one.
pub fn bare_metal_target() -> PathBuf {
    target().join("bare-metal")
}

/// The folder of a firmware's package.
pub fn firmware(name: &str) -> PathBuf {
    root().join("firmware-examples").join(name)
}

/// The model that firmware takes when nobody names one.
pub fn default_model() -> PathBuf {
    root().join("models/digits-t8-w8a16.vdm")
}

/// Returns a path as messages show it: relative to the workspace if it lies inside.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
