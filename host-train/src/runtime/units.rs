//! Units of the ELBO.

/// Returns the bits per dimension in one nat per row.
pub fn bits_per_nat(dim: usize) -> f64 {
    bits_per_draw(1, dim)
}

/// Returns the bits per dimension in one nat of a sum over `draws` draws per row.
pub fn bits_per_draw(draws: u32, dim: usize) -> f64 {
    1.0 / (f64::from(draws) * dim as f64 * std::f64::consts::LN_2)
}
