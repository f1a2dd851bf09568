//! Kernel of x86-64 desktops: the portable loops, compiled a second time for AVX2 and chosen at run time. The
//! compiler's own vectors run at three to five times the baseline's speed; AVX-512 adds a fifth, which is not worth a
//! third copy.

use super::caps::KernelCaps;
use super::inputs::Inputs;
use super::interface::{BLOCK, Kernel};
use super::matrix::Matrix;
use super::portable;

/// The kernel of x86-64 desktops.
#[derive(Clone, Copy, Debug)]
pub struct Desktop;

impl Kernel for Desktop {
    const NAME: &'static str = "desktop";
    const ZERO_POINT: i32 = 0;
    type Prepared<'w> = Inputs<'w>;
    type Work = ();

    fn prepare<'w, P: KernelCaps>(
        _matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        _samples: usize,
        _work: &'w mut [u32],
    ) -> Option<Inputs<'w>> {
        Some(inputs)
    }

    fn block<P: KernelCaps>(
        matrix: &Matrix<'_>,
        inputs: &Inputs<'_>,
        weights: &[i8],
        _count: usize,
        samples: usize,
        sums: &mut [i32; BLOCK],
    ) {
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: this processor has the instructions.
            unsafe { avx2::<P>(matrix, *inputs, weights, samples, sums) }
        } else {
            portable::block::<Self, P>(matrix, *inputs, weights, samples, sums);
        }
    }
}

#[target_feature(enable = "avx2")]
fn avx2<P: KernelCaps>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    weights: &[i8],
    samples: usize,
    sums: &mut [i32; BLOCK],
) {
    portable::loops::<P>(matrix, inputs, weights, samples, Desktop::ZERO_POINT, sums);
}
