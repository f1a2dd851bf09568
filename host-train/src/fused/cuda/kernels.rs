//! The compiled kernels.

/// Assembly of the kernels, for the compute capability of [`CAPABILITY`] and any later one.
pub(super) const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));
/// Compute capability that the kernels were compiled for; 80 means 8.0.
pub const CAPABILITY: &str = env!("ANCESTRAL_COMPUTE_CAP");
