//! Products of row-major matrices as a library takes them that thinks in columns.

use super::Products;

/// A matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Where it begins.
    pub address: u64,
    /// Elements from one of its rows to the next.
    pub stride: usize,
    /// Whether its elements are bf16; f32 otherwise.
    pub half: bool,
}

/// `c = a'·b'`, or `c += a'·b'`, of matrices by columns, as BLAS has it: a' is `m × k`, b' is `k × n`, c is `m × n`, where a' is a or its
/// transpose. A row-major matrix is its own transpose by columns, so a product of rows is one of columns with the factors exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// The first factor, and whether it is transposed.
    pub a: (Operand, bool),
    /// The second factor, and whether it is transposed.
    pub b: (Operand, bool),
    /// Where the product goes.
    pub c: Operand,
    /// Rows of c by columns.
    pub m: usize,
    /// Columns of c.
    pub n: usize,
    /// The common dimension.
    pub k: usize,
    /// Whether c is added to.
    pub add: bool,
    /// How it is computed.
    pub products: Products,
}

/// Sizes of a layer and a batch.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub rows: usize,
    pub columns: usize,
    pub products: Products,
}

impl Sizes {
    /// `out (batch, rows) = input (batch, columns) · weightsᵀ (columns, rows)`.
    pub fn forward(self, weights: Operand, input: Operand, out: Operand) -> Product {
        Product {
            a: (weights, true),
            b: (input, false),
            c: out,
            m: self.rows,
            n: self.batch,
            k: self.columns,
            add: false,
            products: self.products,
        }
    }

    /// `out (batch, columns) = gradient (batch, rows) · weights (rows, columns)`, added to what is there for a residual layer.
    pub fn descent(self, weights: Operand, gradient: Operand, out: Operand, add: bool) -> Product {
        Product {
            a: (weights, false),
            b: (gradient, false),
            c: out,
            m: self.columns,
            n: self.batch,
            k: self.rows,
            add,
            products: self.products,
        }
    }

    /// `out (rows, columns) = gradientᵀ (rows, batch) · input (batch, columns)`.
    pub fn weights(self, input: Operand, gradient: Operand, out: Operand) -> Product {
        Product {
            a: (input, false),
            b: (gradient, true),
            c: out,
            m: self.columns,
            n: self.rows,
            k: self.batch,
            add: false,
            products: self.products,
        }
    }
}
