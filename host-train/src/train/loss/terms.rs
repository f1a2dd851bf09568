//! The three terms of the negative ELBO.

use candle_core::{Result, Tensor};

/// Terms of a batch in nats per row, as scalars in the graph.
pub struct Terms {
    /// `−ln p(x | z_0)`.
    pub reconstruction: Tensor,
    /// `D_KL(q(z_T | x) ‖ N(0, I))`.
    pub prior: Tensor,
    /// T times the mean cost of the drawn steps.
    pub diffusion: Tensor,
}

impl Terms {
    /// Returns the sum, which training minimizes.
    pub fn total(&self) -> Result<Tensor> {
        (&self.reconstruction + &self.prior)? + &self.diffusion
    }

    /// Returns reconstruction, prior and diffusion as numbers.
    pub fn values(&self) -> Result<[f32; 3]> {
        Ok([
            self.reconstruction.to_scalar()?,
            self.prior.to_scalar()?,
            self.diffusion.to_scalar()?,
        ])
    }
}
