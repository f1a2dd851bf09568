//! Compile-time capabilities of a pass over a matrix.

/// Compile-time capabilities: code for packings or inputs that a format cannot produce is not compiled, so that a
/// firmware holds in flash only what its format needs.
pub trait KernelCaps {
    /// Inputs may have 8 bits.
    const BYTES: bool;
    /// Weights may be packed.
    const NIBBLES: bool;
    /// There may be several samples.
    const MANY: bool;
}

/// All capabilities at once: any packing, any input, any number of samples.
#[derive(Clone, Copy, Debug)]
pub struct AllCaps;

impl KernelCaps for AllCaps {
    const BYTES: bool = true;
    const NIBBLES: bool = true;
    const MANY: bool = true;
}
