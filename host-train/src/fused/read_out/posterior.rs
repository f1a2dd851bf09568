//! The posterior of levels in vector lanes.
//!
//! With `h = √SNR·ε + f/Δ`, a level at a distance d from x has `ln w − ln w_x = d (h − ½ SNR d)`: neither needs z.
//! Weights are computed relative to the largest, that of the level nearest to `x + h/SNR`. In units of Δ from there,
//! `ln w = i (slope − bend·i)`, so nothing overflows.

use super::operands::{Row, RowResults};
use crate::fused::lanes::exp;
use ancestral::{levels, schedule};
use pulp::Arch;

/// Dimensions that are computed together.
const LANES: usize = 16;
/// Logarithm of the weights that are left out, negated.
const NEGLIGIBLE: f64 = 25.0;

type Lanes = [f32; LANES];

/// Constants of the posterior at one γ.
#[derive(Clone, Copy)]
pub(in crate::fused) struct LevelConstants {
    /// Index of the highest level.
    last: f32,
    spacing: f32,
    /// `1/Δ`
    density: f32,
    snr: f32,
    root: f32,
    /// `½ SNR Δ²`
    bend: f32,
    /// Levels on each side of the largest weight that count, if that is fewer than all.
    window: Option<u16>,
}

/// The posterior of some dimensions: moments of the distance from x.
struct Moments {
    /// `h`
    push: Lanes,
    /// Distance of the level of the largest weight from x.
    center: Lanes,
    /// Sum of the weights relative to the largest.
    total: Lanes,
    /// The error x̂ − x.
    mean: Lanes,
    variance: Lanes,
    /// `⟨d²⟩`
    square: Lanes,
    /// `⟨d³⟩ − ⟨d⟩⟨d²⟩`
    skew: Lanes,
}

impl LevelConstants {
    pub(super) fn new(count: u16, gamma: f64) -> Self {
        let (spacing, snr): (f64, f64) = (levels::spacing(count), schedule::snr(gamma));
        let bend = 0.5 * snr * spacing * spacing;
        // Beyond `side` levels from the largest, a weight is below e^(−bend·side·(side + 1)).
        let side = ((NEGLIGIBLE / bend + 0.25).sqrt() - 0.5).ceil();
        Self {
            last: f32::from(count.max(2) - 1),
            spacing: spacing as f32,
            density: (1.0 / spacing) as f32,
            snr: snr as f32,
            root: snr.sqrt() as f32,
            bend: bend as f32,
            window: (2.0 * side + 1.0 < f64::from(count)).then_some(side as u16),
        }
    }

    pub(super) fn error(&self, row: Row<'_>, results: RowResults<'_>) {
        self.each(row, results, |m, noise, value, by_output, by_gamma| {
            for lane in 0..LANES {
                let slope = self.snr * m.skew[lane] - self.root * noise[lane] * m.variance[lane];
                value[lane] = self.root * m.mean[lane];
                by_output[lane] = self.root * self.density * m.variance[lane];
                by_gamma[lane] = 0.5 * self.root * (slope - m.mean[lane]);
            }
        });
    }

    pub(super) fn nats(&self, row: Row<'_>, results: RowResults<'_>) {
        self.each(row, results, |m, noise, value, by_output, by_gamma| {
            for lane in 0..LANES {
                let own = m.center[lane] * (m.push[lane] - 0.5 * self.snr * m.center[lane]);
                value[lane] = own + m.total[lane].ln();
                by_output[lane] = self.density * m.mean[lane];
                by_gamma[lane] = 0.5 * (self.snr * m.square[lane] - self.root * noise[lane] * m.mean[lane]);
            }
        });
    }

    /// Computes `results` from the posterior of every dimension.
    #[inline(always)]
    fn each(
        &self,
        row: Row<'_>,
        results: RowResults<'_>,
        write: impl Fn(&Moments, &Lanes, &mut Lanes, &mut Lanes, &mut Lanes),
    ) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let operands = row
                    .x
                    .chunks(LANES)
                    .zip(row.noise.chunks(LANES))
                    .zip(row.output.chunks(LANES));
                let targets = results
                    .value
                    .chunks_mut(LANES)
                    .zip(results.by_output.chunks_mut(LANES))
                    .zip(results.by_gamma.chunks_mut(LANES));
                for (((x, noise), output), ((value, by_output), by_gamma)) in operands.zip(targets) {
                    let [x, noise, output] = [x, noise, output].map(padded);
                    let mut written = [[0.0; LANES]; 3];
                    let [to_value, to_output, to_gamma] = &mut written;
                    write(
                        &self.moments(&x, &noise, &output),
                        &noise,
                        to_value,
                        to_output,
                        to_gamma,
                    );
                    for (to, from) in [value, by_output, by_gamma].into_iter().zip(&written) {
                        to.copy_from_slice(&from[..to.len()]);
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn moments(&self, x: &Lanes, noise: &Lanes, output: &Lanes) -> Moments {
        let [mut push, mut center, mut nearest, mut slope] = [[0.0; LANES]; 4];
        for lane in 0..LANES {
            let h = self.root * noise[lane] + self.density * output[lane];
            let place = (x[lane] + h / self.snr + 1.0) * self.density;
            // NaN becomes 0 here and stays NaN in the slope.
            let place = if place > 0.0 { place } else { 0.0 };
            let place = if place < self.last { place } else { self.last };
            // Rounds to a whole number below 2²³.
            const ROUND: f32 = 12_582_912.0; // 1.5·2²³
            nearest[lane] = (place + ROUND) - ROUND;
            push[lane] = h;
            center[lane] = (nearest[lane] * self.spacing - 1.0) - x[lane];
            slope[lane] = self.spacing * (h - self.snr * center[lane]);
        }
        let mut sums = [[0.0f32; LANES]; 4];
        match self.window {
            None => {
                for k in 0..=self.last as u16 {
                    let i: Lanes = nearest.map(|nearest| f32::from(k) - nearest);
                    self.accumulate(&mut sums, &i, &slope, &[1.0; LANES]);
                }
            }
            Some(side) => {
                for k in -i32::from(side)..=i32::from(side) {
                    let i = k as f32;
                    let exists = |nearest: f32| nearest + i >= 0.0 && nearest + i <= self.last;
                    let exists: Lanes = nearest.map(|nearest| if exists(nearest) { 1.0 } else { 0.0 });
                    self.accumulate(&mut sums, &[i; LANES], &slope, &exists);
                }
            }
        }
        self.finish(push, center, &sums)
    }

    /// Adds a level's weight times the powers 0 to 3 of its distance `i`.
    #[inline(always)]
    fn accumulate(&self, sums: &mut [Lanes; 4], i: &Lanes, slope: &Lanes, exists: &Lanes) {
        for lane in 0..LANES {
            let i = i[lane];
            let mut weight = exp(i * (slope[lane] - self.bend * i)) * exists[lane];
            sums[0][lane] += weight;
            weight *= i;
            sums[1][lane] += weight;
            weight *= i;
            sums[2][lane] += weight;
            weight *= i;
            sums[3][lane] += weight;
        }
    }

    #[inline(always)]
    fn finish(&self, push: Lanes, center: Lanes, sums: &[Lanes; 4]) -> Moments {
        let [mut mean, mut variance, mut square, mut skew] = [[0.0; LANES]; 4];
        for lane in 0..LANES {
            let scale = self.spacing / sums[0][lane];
            let first = sums[1][lane] * scale;
            let second = sums[2][lane] * scale * self.spacing;
            let third = sums[3][lane] * scale * self.spacing * self.spacing;
            let c = center[lane];
            mean[lane] = c + first;
            variance[lane] = second - first * first;
            square[lane] = second + c * (2.0 * first + c);
            skew[lane] = third - first * second + 2.0 * c * variance[lane];
        }
        Moments {
            push,
            center,
            total: sums[0],
            mean,
            variance,
            square,
            skew,
        }
    }
}

/// Returns up to [`LANES`] numbers, followed by zeros.
#[inline(always)]
fn padded(values: &[f32]) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
