//! Products of row-major matrices for a library that counts by columns.

use super::products::Products;

/// A matrix in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Address of its first element.
    pub address: u64,
    /// Elements from one of its rows to the next.
    pub stride: usize,
    /// True if its elements are bf16; otherwise they are f32.
    pub bf16: bool,
}

/// A product `c = a'·b'`, or `c += a'·b'`, of column-major matrices as in BLAS: a' is `m × k`, b' is `k × n`, c is `m ×
/// n`.
///
/// A factor is the matrix or its transpose. A row-major matrix read by columns is its own transpose, so a product of
/// row-major matrices is one of column-major matrices with the factors exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// The first factor, and whether it is transposed.
    pub a: (Operand, bool),
    /// The second factor, and whether it is transposed.
    pub b: (Operand, bool),
    /// Place of the product.
    pub c: Operand,
    /// Rows of c.
    pub m: usize,
    /// Columns of c.
    pub n: usize,
    /// The common dimension.
    pub k: usize,
    /// True if the product is added to c.
    pub add: bool,
    /// Number format of the product.
    pub products: Products,
}

/// Sizes of a layer and a batch.
#[derive(Clone, Copy)]
pub(super) struct ProductSizes {
    pub batch: usize,
    pub rows: usize,
    pub columns: usize,
    pub products: Products,
}

impl ProductSizes {
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

    /// `out (batch, columns) = gradient (batch, rows) · weights (rows, columns)`.
    ///
    /// * `add`: whether to add to `out`, as for a residual layer.
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
