//! The interface that both generators of training share.

use super::purpose::Purpose;
use super::share::Share;
use candle_core::{Device, Result, Tensor};

/// Source of everything random in a training step.
///
/// The numbers of a share are those that a single process would draw for the same rows. A sequential generator ignores
/// the purpose, so its callers must keep the order of their calls.
pub trait RandomSource {
    /// Returns a uniform index in `0..bound` for each row of a share.
    fn draw_indices(&mut self, bound: usize, share: Share) -> Vec<usize>;

    /// Returns a time in [0, 1) for each row of a share. A single uniform number places the times of a whole batch,
    /// 1/n apart (Kingma et al. 2021, appendix I.1).
    fn draw_times(&mut self, share: Share) -> Vec<f64>;

    /// Returns standard normals, `columns` for each row of a share.
    fn draw_normals(&mut self, purpose: Purpose, share: Share, columns: usize) -> Vec<f32>;

    /// Returns uniform numbers in [0, 1), `columns` for each row of a share.
    fn draw_uniforms(&mut self, purpose: Purpose, share: Share, columns: usize) -> Vec<f32>;

    /// Returns standard normals as a matrix of the share's rows.
    fn normal_matrix(&mut self, purpose: Purpose, share: Share, columns: usize, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(
            self.draw_normals(purpose, share, columns),
            (share.rows, columns),
            device,
        )
    }
}
