//! A slice of device memory.
//!
//! Addresses are plain numbers here, so a [`Span`] promises what a slice would: its constructor is `unsafe`.
#![allow(unsafe_code)] // `Span::new` is an unsafe function.

use std::marker::PhantomData;

/// Numbers in the memory of a queue.
#[derive(Debug)]
pub struct Span<'a, T> {
    address: u64,
    len: usize,
    of: PhantomData<&'a T>,
}

impl<T> Clone for Span<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Span<'_, T> {}

impl<'a, T> Span<'a, T> {
    /// Returns the span of `len` numbers from `address` on.
    ///
    /// # Safety
    /// The numbers must exist in the memory of the queue for as long as `'a`, and nothing else may use them between two
    /// launches of one operation.
    pub unsafe fn new(address: u64, len: usize) -> Self {
        Self {
            address,
            len,
            of: PhantomData,
        }
    }

    /// Returns the first `len` numbers, or all if there are fewer.
    pub fn head(self, len: usize) -> Self {
        Self {
            len: len.min(self.len),
            ..self
        }
    }

    /// Number of numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address of the first number.
    pub fn address(&self) -> u64 {
        self.address
    }
}
