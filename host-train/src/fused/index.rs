//! A row of a table, or a step, for each row of a batch: numbers that are made on the host or on a GPU and stay there.

use candle_core::{Device, Result, Tensor};
use std::borrow::Cow;

/// One number per row of a batch.
#[derive(Clone, Debug)]
pub enum Index {
    /// On the host.
    Host(Vec<u32>),
    /// On a GPU, `(n)` of `u32`. The kernels that use it need it in ascending order, as stratified times are.
    Device(Tensor),
}

impl From<Vec<u32>> for Index {
    fn from(values: Vec<u32>) -> Self {
        Self::Host(values)
    }
}

impl Index {
    /// Number of rows in the batch.
    pub fn len(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            Self::Device(values) => values.elem_count(),
        }
    }

    /// Returns whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the numbers on the host. From a GPU this waits.
    pub fn host(&self) -> Result<Cow<'_, [u32]>> {
        match self {
            Self::Host(values) => Ok(Cow::Borrowed(values)),
            Self::Device(values) => Ok(Cow::Owned(values.to_vec1()?)),
        }
    }

    /// Returns the numbers as a tensor on `device`.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Host(values) => Tensor::from_slice(values, values.len(), device),
            Self::Device(values) => Ok(values.clone()),
        }
    }

    /// Returns each number less one, and 0 for 0.
    pub fn less_one(&self) -> Result<Self> {
        Ok(match self {
            Self::Host(values) => Self::Host(values.iter().map(|v| v.saturating_sub(1)).collect()),
            Self::Device(values) => {
                let one = values.ones_like()?;
                Self::Device(values.maximum(&one)?.sub(&one)?)
            }
        })
    }
}
