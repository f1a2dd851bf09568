//! Desktops with x86-64: the portable loops, compiled a second time for AVX2 and chosen while the program runs. The compiler's own vectors
//! measure three to five times the baseline's speed; AVX-512 adds a fifth, which is not worth a third copy.

use super::{BLOCK, Inputs, Kernel, Matrix, Pass, portable};

/// The kernel.
#[derive(Clone, Copy, Debug)]
pub struct Desktop;

impl Kernel for Desktop {
    const NAME: &'static str = "desktop";
    const ORIGIN: i32 = 0;
    type Prepared<'w> = Inputs<'w>;

    fn prepare<'w, P: Pass>(
        _matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        _samples: usize,
        _work: &'w mut [u32],
    ) -> Option<Inputs<'w>> {
        Some(inputs)
    }

    fn block<P: Pass>(
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
            portable::block::<P>(matrix, *inputs, weights, samples, Self::ORIGIN, sums);
        }
    }
}

#[target_feature(enable = "avx2")]
fn avx2<P: Pass>(matrix: &Matrix<'_>, inputs: Inputs<'_>, weights: &[i8], samples: usize, sums: &mut [i32; BLOCK]) {
    portable::loops::<P>(matrix, inputs, weights, samples, Desktop::ORIGIN, sums);
}
