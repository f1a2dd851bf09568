//! Units of the loss.

/// Returns the bits per dimension in one nat per row.
pub fn bits_per_nat(dim: usize) -> f64 {
    1.0 / (dim as f64 * std::f64::consts::LN_2)
}
