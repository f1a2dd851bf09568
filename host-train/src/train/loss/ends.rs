//! The terms at the ends of the chain: reconstruction and prior.

use crate::rng::Share;
use ancestral::levels::value;
use candle_core::{Result, Tensor};

/// Rows of a batch whose reconstruction is computed. The term depends on γ_0 alone and hardly varies between rows.
const RECONSTRUCTED_ROWS: usize = 32;

/// Returns the prior of a batch in nats per row.
///
/// * `table`: γ, of which the last value matters.
pub(super) fn prior(table: &Tensor, x: &Tensor) -> Result<Tensor> {
    let dim = x.dim(1)? as f64;
    let steps = table.elem_count() - 1;
    let last = table.narrow(0, steps, 1)?;
    let energy = x.sqr()?.sum(1)?.mean(0)?.affine(1.0, -dim)?.reshape(1)?;
    let prior = (candle_nn::ops::sigmoid(&last.neg()?)? * energy)? + (softplus(&last.neg()?)? * dim)?;
    (prior? * 0.5)?.reshape(())
}

/// Returns the reconstruction by the factorized decoder, in nats per row.
///
/// * `table`: γ, of which the first value matters;
/// * `noise`: the noise of z_0, `(n, D)`;
/// * `share`: the rows of the batch that `x` holds.
pub(super) fn factorized_nats(
    table: &Tensor,
    levels: Option<u16>,
    x: &Tensor,
    noise: &Tensor,
    share: Share,
) -> Result<Tensor> {
    let first = table.narrow(0, 0, 1)?.unsqueeze(1)?;
    match levels {
        Some(levels) => levels_nats(&first, levels, x, noise, share),
        // x − z_0/α_0 = −(σ_0/α_0) ε: the quadratic does not depend on γ_0, but the normalization does.
        None => {
            let quadratic = noise.sqr()?.sum(1)?.mean(0)?;
            let normalization = ((first.reshape(())? + (2.0 * std::f64::consts::PI).ln())? * x.dim(1)? as f64)?;
            (quadratic + normalization)? * 0.5
        }
    }
}

/// Returns ln(1 + eˣ), computed by operations that have gradients.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}

/// Returns `−ln p(x | z_0)` of the discretized decoder: a softmax over the levels of `−½ (z_0/α_0 − level)² SNR_0`,
/// where `z_0/α_0 = x + (σ_0/α_0) ε`. The value of a share is such that the means of all shares make the batch's mean.
fn levels_nats(first: &Tensor, levels: u16, x: &Tensor, noise: &Tensor, share: Share) -> Result<Tensor> {
    let rows = share.among_first(RECONSTRUCTED_ROWS);
    if rows == 0 {
        return Tensor::zeros((), x.dtype(), x.device());
    }
    let part = rows as f64 / share.of.min(RECONSTRUCTED_ROWS) as f64;
    let (x, noise) = (
        x.narrow(0, 0, rows)?.unsqueeze(2)?,
        noise.narrow(0, 0, rows)?.unsqueeze(2)?,
    );
    let grid: Vec<f32> = (0..levels).map(|k| value(levels, k)).collect();
    let grid = Tensor::from_vec(grid, (1, 1, usize::from(levels)), x.device())?;
    let precision = (first.unsqueeze(2)? * -0.5)?.exp()?; // α_0/σ_0
    let exponent = |level: &Tensor| -> Result<Tensor> {
        x.broadcast_sub(level)?
            .broadcast_mul(&precision)?
            .broadcast_add(&noise)?
            .sqr()?
            * -0.5
    };
    let all = exponent(&grid)?;
    let top = all.max_keepdim(2)?.detach();
    let log_total = (all.broadcast_sub(&top)?.exp()?.sum_keepdim(2)?.log()? + top)?;
    let own = exponent(&x)?;
    (log_total - own)?.sum((1, 2))?.mean(0)? * (part / share.fraction())
}
