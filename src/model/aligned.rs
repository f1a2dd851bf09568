//! Bytes that begin at a multiple of 8, as those of a model must.

/// Bytes in place that begin at a multiple of 8.
#[repr(C, align(8))]
pub struct Aligned<T: ?Sized>(
    /// The bytes.
    pub T,
);

/// Bytes on the heap that begin at a multiple of 8: what a program reads a model file into.
#[cfg(feature = "alloc")]
pub struct AlignedBytes {
    words: alloc::boxed::Box<[u64]>,
    len: usize,
}

#[cfg(feature = "alloc")]
impl AlignedBytes {
    /// Copies `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = alloc::vec![0u64; bytes.len().div_ceil(8)].into_boxed_slice();
        for (to, from) in bytemuck::cast_slice_mut::<u64, u8>(&mut words).iter_mut().zip(bytes) {
            *to = *from;
        }
        Self {
            words,
            len: bytes.len(),
        }
    }
}

#[cfg(feature = "alloc")]
impl core::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words).get(..self.len).unwrap_or(&[])
    }
}
