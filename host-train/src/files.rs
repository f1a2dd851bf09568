//! Atomic writes: a file is either whole or not there.
//!
//! A checkpoint or a model must survive a full disk, a crash and a Ctrl-C. So a file is written under another name
//! in the same folder and takes its own name only when all of it is on the disk.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use tempfile::{Builder, NamedTempFile};

/// Writes the output of `fill` to `path`, and makes the folders above it.
///
/// On any failure, `fill`'s own included, a file that was there before stays as it was and nothing else is left
/// behind. The error is one sentence that names `path`.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("runs/digits/losses.csv");
/// host_train::files::write_atomically(&path, |file| Ok(writeln!(file, "step,total")?))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "step,total\n");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let target = resolve_target(path)?;
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|error| {
        anyhow!(
            "cannot make the folder {} for {} ({error}): {}",
            folder.display(),
            path.display(),
            advice(&error)
        )
    })?;
    write_beside(folder, &target, fill).map_err(|error| {
        let advice = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<std::io::Error>())
            .map(advice);
        let advice = advice.unwrap_or("correct this and try again");
        anyhow!(
            "cannot write {} ({error:#}): {advice}; what was there before is unchanged",
            path.display()
        )
    })
}

/// Returns the file that gets the new contents: the target, if `path` is a link.
fn resolve_target(path: &Path) -> anyhow::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            bail!(
                "cannot write {}: it is a folder; give the name of a file",
                path.display()
            )
        }
        Ok(found) if !found.is_file() => {
            bail!(
                "cannot write {}: it is not an ordinary file; give another name",
                path.display()
            )
        }
        Ok(_) => fs::canonicalize(path)
            .with_context(|| format!("cannot follow the link {}: correct or remove it", path.display())),
        Err(_) => match path.file_name() {
            Some(_) => Ok(path.to_owned()),
            None => bail!("cannot write {:?}: it does not end in a file name; give one", path),
        },
    }
}

fn write_beside(
    folder: &Path,
    target: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let file = temporary_file(folder)?;
    let mut writer = BufWriter::new(file.as_file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    // Without this, a power cut after the renaming could leave the new name with no contents.
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    // The name itself is on the disk only when its folder is; not every file system can do that, and the contents
    // are safe either way.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Makes a file that is deleted when it is dropped, unless it is renamed.
fn temporary_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".ancestral-").suffix(".part");
    // Readable as any new file of this user; the default for temporary files is the owner alone.
    #[cfg(unix)]
    builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Returns the remedy for an error of the file system.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on that disk",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "choose a folder that you may write to",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "part of that path is a file; choose another folder",
        _ => "check the path and the disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
        write_atomically(path, |file| Ok(file.write_all(text.as_bytes())?))
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn writes_and_replaces_and_makes_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        write_text(&path, "one").unwrap();
        write_text(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(entries(path.parent().unwrap()), 1);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_any_new_file_lets_them_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_text(&ours, "").unwrap();
        fs::write(&plain, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_text(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_text(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn a_failure_halfway_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.vdm");
        write_text(&path, "whole").unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(&[0; 100_000])?;
            bail!("the 3rd layer is not finite")
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot write {} (the 3rd layer is not finite): correct this and try again; what was there before is unchanged",
                path.display()
            )
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_full_disk_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.vdm");
        write_text(&path, "whole").unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::from(ErrorKind::StorageFull))?
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains(&path.display().to_string()) && error.contains("free some space"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_folder_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_text(folder.path(), "").unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "cannot write {}: it is a folder; give the name of a file",
                folder.path().display()
            )
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_not_replaced_by_a_file() {
        let error = write_text(Path::new("/dev/null"), "").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot write /dev/null: it is not an ordinary file; give another name"
        );
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs");
        fs::write(&file, "").unwrap();
        let error = write_text(&file.join("digits/model.vdm"), "").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot make the folder") && error.contains("runs/digits"),
            "{error}"
        );
        assert!(
            error.ends_with("part of that path is a file; choose another folder"),
            "{error}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_unwritable_folder_is_named() {
        // Not even root may make files here, so the test is meaningful in a container too.
        let error = write_text(Path::new("/proc/model.vdm"), "").unwrap_err().to_string();
        assert!(error.starts_with("cannot write /proc/model.vdm ("), "{error}");
        assert!(error.ends_with("what was there before is unchanged"), "{error}");
    }
}
