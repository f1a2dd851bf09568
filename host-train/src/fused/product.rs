//! Products of matrices on one thread: the only module of the CPU's path with `unsafe`.
#![allow(unsafe_code)] // The `gemm` crate takes pointers.

use gemm::{Parallelism, gemm};

/// Depth of one call.
///
/// The crate's own depth of 512 makes panels that outgrow a first-level cache of 48 KiB; half of it fits and measures
/// 15 % faster. The depth also decides the bits: sums are cut here, on every machine and for any number of threads.
const DEPTH: usize = 256;

/// A matrix in a slice, by its strides in elements.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Returns a matrix whose rows begin `stride` elements apart.
    pub fn new(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// Returns the same numbers with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Number of elements from the first to the last, both included.
    fn span(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// Computes `out = a·b`, or `out += a·b`; `out` is row-major and dense.
///
/// # Panics
/// If the shapes do not fit one another or their slices: a mistake in the calling code, never in data.
pub fn multiply(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert_eq!(a.columns, b.rows, "the shapes of a product do not fit");
    assert_eq!(
        out.len(),
        a.rows * b.columns,
        "the output of a product has another size"
    );
    assert!(
        a.span() <= a.values.len() && b.span() <= b.values.len(),
        "a matrix reaches beyond its slice"
    );
    if a.columns == 0 && !add {
        out.fill(0.0);
    }
    let mut from = 0;
    while from < a.columns {
        let depth = DEPTH.min(a.columns - from);
        let read = add || from > 0;
        let a_values = a.values.get(from * a.column_stride..).unwrap_or_default();
        let b_values = b.values.get(from * b.row_stride..).unwrap_or_default();
        // SAFETY: `span` was checked above, so every element that the strides reach lies in its slice: `from + depth`
        // never exceeds the common dimension. `out` is dense with `rows × columns` elements and, being borrowed
        // mutably, overlaps neither input.
        unsafe {
            gemm(
                a.rows,
                b.columns,
                depth,
                out.as_mut_ptr(),
                1,
                b.columns as isize,
                read,
                a_values.as_ptr(),
                a.column_stride as isize,
                a.row_stride as isize,
                b_values.as_ptr(),
                b.column_stride as isize,
                b.row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
        from += depth;
    }
}

/// Computes `out = aᵀ` of a dense row-major `rows × columns` matrix, in tiles that fit the first-level cache.
pub fn transpose(out: &mut [f32], a: &[f32], rows: usize, columns: usize) {
    const TILE: usize = 16;
    assert_eq!((out.len(), a.len()), (rows * columns, rows * columns));
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for column in left..columns.min(left + TILE) {
                for row in top..rows.min(top + TILE) {
                    out[column * rows + row] = a[row * columns + column];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 37 + seed * 101) % 211) as f32 / 105.5 - 1.0)
            .collect()
    }

    proptest! {
        #[test]
        fn products_are_those_of_f64(rows in 1usize..40, columns in 1usize..40, depth in 1usize..600, turned: bool, add: bool) {
            let (a, b, before) = (values(rows * depth, 1), values(depth * columns, 2), values(rows * columns, 3));
            let mut out = before.clone();
            let right = if turned {
                let mut turned = vec![0.0; b.len()];
                transpose(&mut turned, &b, depth, columns);
                multiply(&mut out, Matrix::new(&a, rows, depth, depth), Matrix::new(&turned, columns, depth, depth).transposed(), add);
                turned
            } else {
                multiply(&mut out, Matrix::new(&a, rows, depth, depth), Matrix::new(&b, depth, columns, columns), add);
                b.clone()
            };
            prop_assert_eq!(right.len(), b.len());
            for row in 0..rows {
                for column in 0..columns {
                    let sum: f64 = (0..depth).map(|k| f64::from(a[row * depth + k]) * f64::from(b[k * columns + column])).sum();
                    let at = row * columns + column;
                    let expected = sum + if add { f64::from(before[at]) } else { 0.0 };
                    prop_assert!((f64::from(out[at]) - expected).abs() < 1e-4 * (1.0 + depth as f64 / 50.0));
                }
            }
        }
    }

    #[test]
    fn a_product_without_depth_is_zero() {
        let mut out = [1.0; 4];
        multiply(&mut out, Matrix::new(&[], 2, 0, 0), Matrix::new(&[], 0, 2, 2), false);
        assert_eq!(out, [0.0; 4]);
    }
}
