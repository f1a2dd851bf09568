//! Weights as they lie in the model file.

use super::caps::KernelCaps;

/// Number of entries in a row of weights: `columns`, or half as many, rounded up, where two are packed into one.
pub const fn row_len(columns: usize, packed: bool) -> usize {
    if packed { columns.div_ceil(2) } else { columns }
}

/// A matrix of weights as it lies in the model file.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, W = i8> {
    /// Row-major; two 4-bit weights to an entry where it is packed.
    pub weights: &'a [W],
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs.
    pub columns: usize,
    /// Two 4-bit weights to an entry, the even column's in the low half; an odd row ends with an empty half.
    pub packed: bool,
}

impl<'a, W> Matrix<'a, W> {
    /// Number of entries in a row.
    #[inline(always)]
    pub const fn stride(&self) -> usize {
        row_len(self.columns, self.packed)
    }

    /// The rows, each as it lies in the file.
    #[inline(always)]
    pub fn rows(&self) -> core::slice::ChunksExact<'a, W> {
        self.weights.chunks_exact(self.stride().max(1))
    }

    /// Returns whether the weights are packed, if a pass with these capabilities can meet packed weights at all.
    #[inline(always)]
    pub(super) const fn packs<P: KernelCaps>(&self) -> bool {
        P::NIBBLES && self.packed
    }

    /// Returns `count` rows from `first` on, or nothing if there are fewer.
    #[inline(always)]
    pub(super) fn block(&self, first: usize, count: usize) -> &'a [W] {
        let stride = self.stride();
        self.weights
            .get(first.wrapping_mul(stride)..)
            .and_then(|weights| weights.get(..count.wrapping_mul(stride)))
            .unwrap_or(&[])
    }
}
