//! The emulated machines, and what the build scripts of the firmwares share.
//!
//! - [`machine`] is the table of machines that QEMU emulates, each with its memory map. `cargo xtask` runs them from
//!   the same rows.
//! - [`memory`] reads and writes the linker's `memory.x`.
//! - [`script`] is what a firmware's `build.rs` calls.
#![forbid(unsafe_code)]

pub mod machine;
pub mod memory;
pub mod script;
