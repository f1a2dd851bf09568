//! Where the buffers of a sampler or an ELBO live: inside it, sized by the compiler, or on the heap.
//!
//! The code that works on them takes slices and is compiled once per number format; these types only hold them.

use crate::number::Number;

/// The network's two buffers of activations.
pub struct Scratch<'s, N> {
    /// As wide as the widest hidden layer.
    pub first: &'s mut [N],
    /// As wide as the widest hidden layer.
    pub second: &'s mut [N],
}

/// All buffers, borrowed.
pub struct Buffers<'s, N> {
    /// The state z, D values.
    pub state: &'s mut [N],
    /// The estimate x̂, D values.
    pub estimate: &'s mut [N],
    /// The data: what is scored, or what a sample decodes to; D values.
    pub data: &'s mut [N],
    /// The same as levels, D of them.
    pub levels: &'s mut [u8],
    /// The network's.
    pub scratch: Scratch<'s, N>,
}

/// Holds the buffers for a model of at most `dim` dimensions and `width` activations.
pub trait Storage<N: Number> {
    /// The largest D it serves.
    fn dim(&self) -> usize;
    /// The widest hidden layer it serves.
    fn width(&self) -> usize;
    /// The buffers, cut to `dim` dimensions (or as many as there are).
    fn buffers(&mut self, dim: usize) -> Buffers<'_, N>;
}

/// Buffers in arrays, sized by the compiler: no heap.
#[derive(Clone, Debug)]
pub struct Inline<N, const DIM: usize, const WIDTH: usize> {
    state: [N; DIM],
    estimate: [N; DIM],
    data: [N; DIM],
    levels: [u8; DIM],
    scratch: [[N; WIDTH]; 2],
}

impl<N: Number, const DIM: usize, const WIDTH: usize> Default for Inline<N, DIM, WIDTH> {
    fn default() -> Self {
        Self {
            state: [N::default(); DIM],
            estimate: [N::default(); DIM],
            data: [N::default(); DIM],
            levels: [0; DIM],
            scratch: [[N::default(); WIDTH]; 2],
        }
    }
}

impl<N: Number, const DIM: usize, const WIDTH: usize> Storage<N> for Inline<N, DIM, WIDTH> {
    fn dim(&self) -> usize {
        DIM
    }

    fn width(&self) -> usize {
        WIDTH
    }

    fn buffers(&mut self, dim: usize) -> Buffers<'_, N> {
        let [first, second] = &mut self.scratch;
        Buffers {
            state: cut(&mut self.state, dim),
            estimate: cut(&mut self.estimate, dim),
            data: cut(&mut self.data, dim),
            levels: cut(&mut self.levels, dim),
            scratch: Scratch { first, second },
        }
    }
}

/// Buffers on the heap, sized at run time.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
pub struct Heap<N> {
    state: alloc::vec::Vec<N>,
    estimate: alloc::vec::Vec<N>,
    data: alloc::vec::Vec<N>,
    levels: alloc::vec::Vec<u8>,
    scratch: [alloc::vec::Vec<N>; 2],
}

#[cfg(feature = "alloc")]
impl<N: Number> Heap<N> {
    /// Buffers for `dim` dimensions and `width` activations.
    pub fn new(dim: usize, width: usize) -> Self {
        let of = |len| alloc::vec![N::default(); len];
        Self {
            state: of(dim),
            estimate: of(dim),
            data: of(dim),
            levels: alloc::vec![0; dim],
            scratch: [of(width), of(width)],
        }
    }

    /// Buffers for a model.
    pub fn for_model<F: crate::Format<Number = N>>(model: &crate::Model<'_, F>) -> Self {
        Self::new(model.dim(), model.width())
    }
}

#[cfg(feature = "alloc")]
impl<N: Number> Storage<N> for Heap<N> {
    fn dim(&self) -> usize {
        self.state.len()
    }

    fn width(&self) -> usize {
        self.scratch[0].len()
    }

    fn buffers(&mut self, dim: usize) -> Buffers<'_, N> {
        let [first, second] = &mut self.scratch;
        Buffers {
            state: cut(&mut self.state, dim),
            estimate: cut(&mut self.estimate, dim),
            data: cut(&mut self.data, dim),
            levels: cut(&mut self.levels, dim),
            scratch: Scratch { first, second },
        }
    }
}

fn cut<T>(whole: &mut [T], len: usize) -> &mut [T] {
    let len = len.min(whole.len());
    whole.split_at_mut_checked(len).map_or(&mut [], |(front, _)| front)
}
