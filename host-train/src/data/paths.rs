//! Paths of data files, seen from different folders.
//!
//! A configuration's paths begin at its folder. A checkpoint or a model file keeps them relative to its own, so that a
//! project can be moved as a whole and every command finds the same file from any folder.

use std::path::{Component, Path, PathBuf};

use super::spec::DataSpec;
use super::spec_check::is_builtin;

impl DataSpec {
    /// Returns the same data with absolute paths, those of `self` beginning at `folder`.
    pub fn anchored(&self, folder: &Path) -> Self {
        self.map_paths(|path| absolute(&folder.join(path)))
    }

    /// Returns the same data with paths that begin at `folder`; absolute where there is no way from one to the other.
    pub fn relative_to(&self, folder: &Path) -> Self {
        let base = absolute(folder);
        self.map_paths(|path| {
            let path = absolute(path);
            pathdiff::diff_paths(&path, &base).unwrap_or(path)
        })
    }

    fn map_paths(&self, map: impl Fn(&Path) -> PathBuf) -> Self {
        let list = |files: &[String]| {
            let one = |file: &String| match is_builtin(file) {
                true => file.clone(),
                false => map(Path::new(file)).to_string_lossy().into_owned(),
            };
            files.iter().map(one).collect()
        };
        Self {
            source: list(&self.source),
            train: list(&self.train),
            validation: list(&self.validation),
            test: list(&self.test),
            ..self.clone()
        }
    }
}

/// Returns the absolute form of a path without `.` and `..`. Links of the folder are followed as far as it exists, so
/// that the way from one folder to another is the one on the disk.
fn absolute(path: &Path) -> PathBuf {
    // The empty path is the current folder.
    let full = std::path::absolute(Path::new(".").join(path)).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for component in full.components() {
        match component {
            Component::ParentDir => {
                plain = plain.canonicalize().unwrap_or(plain);
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    if plain.is_dir() {
        return plain.canonicalize().unwrap_or(plain);
    }
    match (plain.parent().map(Path::canonicalize), plain.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_way_through_another_folder() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        for folder in ["configs", "data", "runs/a"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let written = DataSpec {
            train: vec!["../data/x.csv".into()],
            test: vec!["y.npz".into()],
            ..DataSpec::default()
        };
        let found = written.anchored(&root.join("configs"));
        assert_eq!(found.train, [root.join("data/x.csv").to_string_lossy()]);
        let kept = found.relative_to(&root.join("runs/a"));
        assert_eq!(
            (kept.train[0].as_str(), kept.test[0].as_str()),
            ("../../data/x.csv", "../../configs/y.npz")
        );
        assert_eq!(kept.anchored(&root.join("runs/a")), found);
    }

    #[test]
    fn the_empty_folder_is_the_current_one() {
        let spec = DataSpec::new("x.csv");
        assert_eq!(spec.anchored(Path::new("")), spec.anchored(Path::new(".")));
        assert_eq!(spec.anchored(Path::new("")).relative_to(Path::new("")), spec);
    }

    #[test]
    fn a_built_in_set_has_no_path() {
        let spec = DataSpec::new("digits");
        assert_eq!(spec.anchored(Path::new("/x")), spec);
        assert_eq!(spec.relative_to(Path::new("/x")), spec);
    }
}
