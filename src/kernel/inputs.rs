//! Inputs of a layer.

use super::caps::KernelCaps;

/// The inputs of a layer, of one sample or of several, one after the other.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// 8-bit activations, each stored as its value less 128.
    Bytes(&'a [i8]),
    /// 16-bit values.
    Halves(&'a [i16]),
}

impl<'a> Inputs<'a> {
    /// Number of values, of all samples.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Halves(values) => values.len(),
        }
    }

    /// Returns whether there are no values.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the inputs are bytes, then the bytes, then the 16-bit values. The slice of the other width is
    /// empty; both are if the inputs are bytes and the capabilities exclude them.
    #[inline(always)]
    pub(super) fn split_by_width<P: KernelCaps>(self) -> (bool, &'a [i8], &'a [i16]) {
        match self {
            Self::Bytes(bytes) if P::BYTES => (true, bytes, &[]),
            Self::Bytes(_) => (false, &[], &[]),
            Self::Halves(halves) => (false, &[], halves),
        }
    }

    /// Returns `count` values from `first` on, if there are as many.
    #[inline(always)]
    pub(super) fn part<P: KernelCaps>(self, first: usize, count: usize) -> Option<Self> {
        match self.split_by_width::<P>() {
            (true, bytes, _) => bytes.get(first..)?.get(..count).map(Self::Bytes),
            (false, _, halves) => halves.get(first..)?.get(..count).map(Self::Halves),
        }
    }
}
