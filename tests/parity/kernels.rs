//! The kernel of this build against the portable one, on random matrices and on the shapes at the edges of its loops.
//! Shared by `tests/kernels.rs` and the firmware `firmware-examples/parity`, so there is no allocation and no `std`
//! here.

use ancestral::kernel::portable::Portable;
use ancestral::kernel::{self, Active, AllCaps, Inputs, Matrix};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Bytes of weights, and values of all samples' inputs: as much as fits 16 KiB of memory with the rest.
const WEIGHTS: usize = 4096;
const VALUES: usize = 640;
/// Rows of all samples.
const SUMS: usize = 360;
const CASES: u32 = 400;

/// Result of a comparison.
pub struct Compared {
    /// Number of layers.
    pub cases: u32,
    /// Number of these that this build's kernel took itself.
    pub taken: u32,
}

/// A layer in which two kernels differ.
#[derive(Debug)]
pub struct Difference {
    /// Outputs and inputs.
    pub shape: (usize, usize),
    /// Two weights to a byte.
    pub packed: bool,
    /// Bytes per input.
    pub bytes: usize,
    /// Number of samples.
    pub samples: usize,
}

impl core::fmt::Display for Difference {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let ((rows, columns), packed) = (self.shape, if self.packed { "packed, " } else { "" });
        write!(
            f,
            "{rows}x{columns}, {packed}{} bytes an input, {} samples: differs from the portable kernel",
            self.bytes, self.samples
        )
    }
}

struct Memory {
    weights: Words<WEIGHTS>,
    work: [u32; VALUES / 2],
}

#[repr(C, align(8))]
struct Words<const N: usize>([i8; N]);

/// Compares; `Err` with the first that differs.
pub fn compare() -> Result<Compared, Difference> {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(11);
    let mut memory = Memory {
        weights: Words([0; WEIGHTS]),
        work: [0; VALUES / 2],
    };
    for weight in &mut memory.weights.0 {
        *weight = rng.next_u32() as i8;
    }
    let mut compared = Compared { cases: 0, taken: 0 };
    let mut below = |n: usize| (rng.next_u32() >> 8) as usize % n;
    for case in 0..CASES {
        // A quarter each: anything, multiples of four and of eight, and rows longer than any loop takes at once.
        let columns = match case % 4 {
            0 => 1 + below(140),
            1 => 4 * (1 + below(35)),
            2 => 8 * (1 + below(17)),
            _ => 8 * (1 + below(80)),
        };
        let samples = 1 + below((VALUES / columns).min(6));
        let packed = case & 4 != 0;
        let stride = ancestral::kernel::row_len(columns, packed);
        let rows = 1 + below((WEIGHTS / stride).min(SUMS / samples).min(70));
        let matrix = Matrix {
            weights: memory.weights.0.get(..rows * stride).unwrap_or(&[]),
            rows,
            columns,
            packed,
        };
        let mut bytes = [0i8; VALUES];
        bytes.fill_with(|| below(256) as i8);
        let mut halves = [0i16; VALUES];
        halves.fill_with(|| below(1 << 16) as i16);
        let count = columns * samples;
        let bytes = bytes.get(..count).unwrap_or(&[]);
        // Sums of 16-bit values in more columns could leave 32 bits.
        let halves = if columns > 300 {
            &[]
        } else {
            halves.get(..count).unwrap_or(&[])
        };
        let one = Inputs::Bytes(bytes.get(..columns).unwrap_or(&[]));
        layer(&matrix, Inputs::Bytes(bytes), one, &mut memory.work, &mut compared)?;
        let one = Inputs::Halves(halves.get(..columns).unwrap_or(&[]));
        layer(&matrix, Inputs::Halves(halves), one, &mut memory.work, &mut compared)?;
    }
    Ok(compared)
}

fn layer(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    one: Inputs<'_>,
    work: &mut [u32],
    compared: &mut Compared,
) -> Result<(), Difference> {
    if inputs.is_empty() {
        return Ok(());
    }
    compared.cases += 1;
    compared.taken += u32::from(kernel::takes::<Active>(matrix, one, work));
    let mut found = [0i32; SUMS];
    let mut sums = [0i32; SUMS];
    let mut write = |sample: usize, row: usize, block: &[i32]| {
        for (slot, &sum) in sums.iter_mut().skip(sample * matrix.rows + row).zip(block) {
            *slot = sum;
        }
    };
    kernel::sums::<Active, AllCaps>(matrix, inputs, work, &mut write);
    found.copy_from_slice(&sums);
    sums.fill(0);
    let mut write = |sample: usize, row: usize, block: &[i32]| {
        for (index, (slot, &sum)) in sums.iter_mut().skip(sample * matrix.rows + row).zip(block).enumerate() {
            *slot = sum.wrapping_add(zero_point_sum(matrix, inputs, row + index));
        }
    };
    kernel::sums::<Portable, AllCaps>(matrix, inputs, work, &mut write);
    if found == sums {
        return Ok(());
    }
    Err(Difference {
        shape: (matrix.rows, matrix.columns),
        packed: matrix.packed,
        bytes: if matches!(inputs, Inputs::Bytes(_)) { 1 } else { 2 },
        samples: inputs.len() / matrix.columns.max(1),
    })
}

/// Difference between a kernel's sum of bytes and the portable one's: [`kernel::ZERO_POINT`] times the row's weights.
fn zero_point_sum(matrix: &Matrix<'_>, inputs: Inputs<'_>, row: usize) -> i32 {
    if matches!(inputs, Inputs::Halves(_)) {
        return 0;
    }
    let mut total = 0;
    kernel::sums::<Portable, AllCaps>(
        &Matrix {
            weights: matrix.weights.get(row * matrix.stride()..).unwrap_or(&[]),
            rows: 1,
            ..*matrix
        },
        Inputs::Bytes([1i8; VALUES].get(..matrix.columns).unwrap_or(&[])),
        &mut [],
        &mut |_, _, sums| total = sums.first().copied().unwrap_or(0),
    );
    total.wrapping_mul(kernel::ZERO_POINT)
}
