//! The directions in which the errors of x̂ are uncorrelated.

use super::residuals::Residuals;
use nalgebra::{DMatrix, SymmetricEigen};

/// Returns the eigenvectors, as columns, of the mean covariance of the errors. Each covariance is divided by its trace,
/// so that no γ drowns the others.
pub fn decorrelate(errors: &Residuals) -> DMatrix<f64> {
    let dim = errors.dim;
    let mean = errors.covariance.iter().fold(DMatrix::zeros(dim, dim), |sum, c| {
        let trace = c.trace();
        if trace > 0.0 { sum + c / trace } else { sum }
    });
    SymmetricEigen::new(mean).eigenvectors
}
