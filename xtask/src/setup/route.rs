//! The choice between the toolchain in use, rustup and the distribution.

use std::env;

use anyhow::{Result, bail};

use crate::setup::{rustc, rustup};

/// The environment variable that chooses the [`Route`].
const ROUTE: &str = "ANCESTRAL_TARGETS";

/// Origin of a missing target.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Route {
    /// The toolchain in use, as it is.
    Any,
    /// The toolchain in use, with the target added by rustup.
    Rustup,
    /// The distribution's compiler.
    Distro,
}

impl Route {
    /// Returns the way to the library of that target on this machine.
    pub fn to(target: &str) -> Result<Self> {
        Ok(Self::from_environment()?.settled(rustc::in_use_has(target), rustup::may_download()))
    }

    fn from_environment() -> Result<Self> {
        match env::var_os(ROUTE) {
            None => Ok(Self::Any),
            Some(text) => Self::parse(&text.to_string_lossy()),
        }
    }

    /// Decides, given whether the toolchain in use has the target and whether rustup may download it. `Any` is left
    /// where there is nothing to do.
    fn settled(self, in_use: bool, may_download: bool) -> Self {
        match self {
            // Asked for by name: it must not pass for another reason on a machine that happens to have the target.
            Self::Distro => Self::Distro,
            Self::Any | Self::Rustup if in_use => Self::Any,
            Self::Any if !may_download => Self::Distro,
            Self::Any | Self::Rustup => Self::Rustup,
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self::Any),
            "rustup" => Ok(Self::Rustup),
            "distro" => Ok(Self::Distro),
            other => {
                bail!("{ROUTE} is {other:?}; set it to `rustup` or `distro`, or leave it unset for whichever works")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_is_one_of_two() {
        assert_eq!(Route::parse("").unwrap(), Route::Any);
        assert_eq!(Route::parse("rustup").unwrap(), Route::Rustup);
        assert_eq!(Route::parse("distro").unwrap(), Route::Distro);
        let message = Route::parse("brew").unwrap_err().to_string();
        assert!(message.contains("ANCESTRAL_TARGETS is \"brew\""), "{message}");
    }

    #[test]
    fn rustup_downloads_only_where_it_may() {
        // By name, the distribution's compiler is taken even where the target is there.
        assert_eq!(Route::Distro.settled(true, true), Route::Distro);
        assert_eq!(Route::Any.settled(true, false), Route::Any);
        assert_eq!(Route::Any.settled(false, false), Route::Distro);
        assert_eq!(Route::Any.settled(false, true), Route::Rustup);
        assert_eq!(Route::Rustup.settled(false, false), Route::Rustup);
        assert_eq!(Route::Rustup.settled(true, false), Route::Any);
    }
}
