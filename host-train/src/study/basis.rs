//! The directions in which the errors of x̂ are uncorrelated.

use super::residuals::Residuals;
use nalgebra::{DMatrix, SymmetricEigen};

/// The eigenvectors, as columns, of the mean of the errors' covariances, each divided by its trace, so that no γ drowns the others.
pub fn of_errors(errors: &Residuals) -> DMatrix<f64> {
    let dim = errors.dim;
    let mean = errors.covariance.iter().fold(DMatrix::zeros(dim, dim), |sum, c| {
        let trace = c.trace();
        if trace > 0.0 { sum + c / trace } else { sum }
    });
    SymmetricEigen::new(mean).eigenvectors
}
