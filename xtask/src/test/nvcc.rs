//! A stand-in for nvcc: answers what build scripts ask and writes empty outputs, so that the feature `cuda` is compiled
//! and linted where there is no CUDA. It is this program itself, under another name.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::paths;

/// Answer to `--version`, of which build scripts read the release, in the fourth line.
const VERSION: &str = "nvcc: NVIDIA (R) Cuda compiler driver\n\
    Stand-in without a compiler\n\
    Nothing is compiled\n\
    Cuda compilation tools, release 13.0, V13.0.88";

/// Answer to `--list-gpu-code`.
const CODES: &str = "sm_80\nsm_90";

/// Returns whether this program was started as nvcc.
pub fn is_called() -> bool {
    let program = env::args_os().next().map(PathBuf::from);
    program.is_some_and(|path| path.file_stem().is_some_and(|name| name == "nvcc"))
}

/// Acts as nvcc.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--version") {
        println!("{VERSION}");
    } else if arguments.iter().any(|argument| argument == "--list-gpu-code") {
        println!("{CODES}");
    } else if let Err(error) = write_outputs(&arguments) {
        eprintln!("nvcc stand-in: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Writes what the arguments promise: `-o FILE`, or `--output-directory FOLDER` with a file for the source.
fn write_outputs(arguments: &[OsString]) -> Result<()> {
    for pair in arguments.windows(2) {
        let [option, value] = pair else { continue };
        let path = Path::new(value);
        let (path, contents) = if option == "-o" {
            // The linker takes an archive without members, but no empty file.
            let archive = path.extension().is_some_and(|extension| extension == "a");
            (path.to_owned(), if archive { "!<arch>\n" } else { "" })
        } else if option == "--output-directory" {
            let source = arguments.last().map(Path::new).and_then(Path::file_stem);
            let name = source.context("no source is named")?;
            (path.join(name).with_extension("ptx"), "// empty\n")
        } else {
            continue;
        };
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A folder that passes for an installation of CUDA.
#[derive(Debug)]
pub struct Environment {
    home: PathBuf,
}

impl Environment {
    /// Makes the folder, with this program in it as nvcc.
    pub fn create() -> Result<Self> {
        let home = paths::target().join("no-cuda");
        let folder = home.join("bin");
        let nvcc = folder.join(format!("nvcc{}", env::consts::EXE_SUFFIX));
        let own = env::current_exe().context("cannot find this program's own file")?;
        let cannot_write = || format!("cannot write {}", paths::shown(&nvcc));
        fs::create_dir_all(&folder).with_context(cannot_write)?;
        fs::copy(&own, &nvcc).with_context(cannot_write)?;
        Ok(Self { home })
    }

    /// Lets a command's build scripts find it.
    pub fn apply(&self, command: &mut Command) {
        let bin = self.home.join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [bin.clone()].into_iter().chain(env::split_paths(&path));
        for name in ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"] {
            command.env(name, &self.home);
        }
        command
            .env("NVCC", bin.join("nvcc"))
            .env("CUDA_COMPUTE_CAP", "80")
            .env("PATH", env::join_paths(folders).unwrap_or(path.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_stands_where_build_scripts_read_it() {
        let line = VERSION.lines().nth(3).unwrap();
        assert_eq!(line.split(", ").nth(1), Some("release 13.0"));
    }

    #[test]
    fn promised_files_are_written() {
        let folder = env::temp_dir().join(format!("xtask-nvcc-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |words: &[&str]| write_outputs(&words.iter().map(OsString::from).collect::<Vec<_>>());
        let shown = |name: &str| folder.join(name).display().to_string();
        write(&["-ptx", "-o", &shown("k.ptx"), "all.cu"]).unwrap();
        write(&["--lib", "-o", &shown("libmoe.a"), "a.o"]).unwrap();
        write(&["--output-directory", &folder.display().to_string(), "src/unary.cu"]).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let found = [read("k.ptx"), read("libmoe.a"), read("unary.ptx")];
        let refused = write(&["-o", &shown("no/such/folder")]);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, ["", "!<arch>\n", "// empty\n"]);
        assert!(refused.is_err());
    }
}
