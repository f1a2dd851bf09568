//! Memory for the buffers of a sampler or an ELBO: inside it, sized by the compiler, or on the heap.
//!
//! The code that works on buffers takes slices and is compiled once per format; these types only hold them.

use crate::format::{Format, RequantKind};

/// Buffers of the network. For several samples at once, each must be that many times as long.
pub struct Scratch<'s, F: Format> {
    /// Activations, as many as the widest hidden layer has.
    pub first: &'s mut [F::Activation],
    /// Activations, as many as the widest hidden layer has.
    pub second: &'s mut [F::Activation],
    /// Work area in which kernels bring a layer's input into their own order: one entry per activation. It may be
    /// shorter or empty, and then layers take longer.
    pub work: &'s mut [F::Work],
}

/// All buffers, borrowed.
pub struct Buffers<'s, F: Format> {
    /// The state z, D values.
    pub state: &'s mut [F::Number],
    /// The estimate x̂, D values.
    pub estimate: &'s mut [F::Number],
    /// The data that is scored, or noise while sampling; D values.
    pub data: &'s mut [F::Number],
    /// Levels that a sample decodes to, D of them.
    pub levels: &'s mut [u8],
    /// Buffers of the network.
    pub scratch: Scratch<'s, F>,
}

/// Memory for the buffers of a model with at most `dim` dimensions and `width` activations.
pub trait Storage<F: Format> {
    /// Largest D that it serves.
    fn dim(&self) -> usize;
    /// Width of the widest hidden layer that it serves.
    fn width(&self) -> usize;
    /// Borrows the buffers, cut to `dim` dimensions (or as many as there are).
    fn buffers(&mut self, dim: usize) -> Buffers<'_, F>;
}

/// Returns the bytes of all the buffers of a model: the size of [`Inline`] without padding. The kernel's work area is
/// part of it and depends on the core; desktops need none.
///
/// ```
/// use ancestral::{W8A8, W8A16, kernel, storage::{buffer_bytes, device_bytes}};
/// let work = 256 * size_of::<kernel::Work>();
/// assert_eq!(buffer_bytes::<W8A16>(64, 256), 3 * 64 * 2 + 64 + 2 * 256 * 2 + work);
/// assert_eq!(buffer_bytes::<W8A8>(64, 256), 3 * 64 * 2 + 64 + 2 * 256 + work);
/// assert_eq!(device_bytes::<W8A16>(64, 256), 1984);
/// ```
pub const fn buffer_bytes<F: Format>(dim: usize, width: usize) -> usize {
    dim * (3 * size_of::<F::Number>() + 1) + width * (2 * size_of::<F::Activation>() + size_of::<F::Work>())
}

/// Returns [`buffer_bytes`] of a microcontroller whose kernel has a work area, on any core.
pub const fn device_bytes<F: Format>(dim: usize, width: usize) -> usize {
    let work = match F::REQUANT {
        RequantKind::None => 0,
        _ => crate::kernel::WORK_BYTES - size_of::<F::Work>(),
    };
    buffer_bytes::<F>(dim, width) + width * work
}

/// Borrows the fields of a storage, which have the same names in each, cut to `dim` dimensions.
macro_rules! borrow_buffers {
    ($storage:ident, $dim:ident) => {{
        let [first, second] = &mut $storage.scratch;
        Buffers {
            state: cut(&mut $storage.state, $dim),
            estimate: cut(&mut $storage.estimate, $dim),
            data: cut(&mut $storage.data, $dim),
            levels: cut(&mut $storage.levels, $dim),
            scratch: Scratch {
                first,
                second,
                work: &mut $storage.work,
            },
        }
    }};
}

/// Buffers in arrays, sized by the compiler: no heap.
// Aligned, and the bytes last: kernels read words from whatever is large enough.
#[derive(Clone, Copy, Debug, bytemuck::Zeroable)]
#[zeroable(bound = "")]
#[repr(C, align(8))]
pub struct Inline<F: Format, const DIM: usize, const WIDTH: usize> {
    state: [F::Number; DIM],
    estimate: [F::Number; DIM],
    data: [F::Number; DIM],
    work: [F::Work; WIDTH],
    scratch: [[F::Activation; WIDTH]; 2],
    levels: [u8; DIM],
}

impl<F: Format, const DIM: usize, const WIDTH: usize> Inline<F, DIM, WIDTH> {
    /// Creates buffers of zeros, for a `static` too: they are written before they are read.
    // Inlined, they are made in place and not copied there.
    #[inline(always)]
    pub const fn new() -> Self {
        bytemuck::zeroed()
    }
}

impl<F: Format, const DIM: usize, const WIDTH: usize> Default for Inline<F, DIM, WIDTH> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Format, const DIM: usize, const WIDTH: usize> Storage<F> for Inline<F, DIM, WIDTH> {
    fn dim(&self) -> usize {
        DIM
    }

    fn width(&self) -> usize {
        WIDTH
    }

    fn buffers(&mut self, dim: usize) -> Buffers<'_, F> {
        borrow_buffers!(self, dim)
    }
}

/// Buffers on the heap, sized at run time.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
pub struct Heap<F: Format> {
    state: alloc::vec::Vec<F::Number>,
    estimate: alloc::vec::Vec<F::Number>,
    data: alloc::vec::Vec<F::Number>,
    levels: alloc::vec::Vec<u8>,
    work: alloc::vec::Vec<F::Work>,
    scratch: [alloc::vec::Vec<F::Activation>; 2],
}

#[cfg(feature = "alloc")]
impl<F: Format> Heap<F> {
    /// Creates buffers for `dim` dimensions and `width` activations.
    pub fn new(dim: usize, width: usize) -> Self {
        let state = || alloc::vec![F::Number::default(); dim];
        let activations = || alloc::vec![F::Activation::default(); width];
        Self {
            state: state(),
            estimate: state(),
            data: state(),
            levels: alloc::vec![0; dim],
            work: alloc::vec![F::Work::default(); width],
            scratch: [activations(), activations()],
        }
    }

    /// Creates buffers for a model.
    pub fn for_model(model: &crate::model::Model<'_, F>) -> Self {
        Self::new(model.dim(), model.width())
    }
}

#[cfg(feature = "alloc")]
impl<F: Format> Storage<F> for Heap<F> {
    fn dim(&self) -> usize {
        self.state.len()
    }

    fn width(&self) -> usize {
        self.scratch[0].len()
    }

    fn buffers(&mut self, dim: usize) -> Buffers<'_, F> {
        borrow_buffers!(self, dim)
    }
}

fn cut<T>(whole: &mut [T], len: usize) -> &mut [T] {
    let len = len.min(whole.len());
    whole.split_at_mut_checked(len).map_or(&mut [], |(front, _)| front)
}
