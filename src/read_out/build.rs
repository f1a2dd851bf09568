//! Making the tables of G_t from the formula.

use super::table::{CELLS, LevelTable, TABLE_ALIGNMENT};
use crate::fixed::{CONSTANT_ONE, STATE_ONE};
use crate::levels;
use crate::schedule::{argument_scale, snr, step_weight};
use alloc::vec::Vec;

/// Cost of the interpolation at a step that is not worth another entry, in nats per dimension.
const NATS: f64 = 1e-6;
/// Largest error of an entry and of the interpolation where the ELBO hardly notices one.
const COARSEST: f64 = 1.0 / 1024.0;
/// Smallest error that is asked for: half of the last place of x̂.
const FINEST: f64 = 0.5 / STATE_ONE as f64;
/// Width of a cell.
const CELL: f64 = 8.0 / CELLS as f64;
/// Largest logarithm of the number of a cell's intervals: each then has one argument of Q3.12.
const MAX_BITS: u32 = 10;
/// Points at which the error of an interval is measured.
const PROBES: u32 = 6;

/// The tables of a schedule, as a file holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOutSpec {
    /// Position of each step's table, divided by [`TABLE_ALIGNMENT`]; `T + 1` values.
    pub index: Vec<u16>,
    /// The tables.
    pub words: Vec<u16>,
}

/// Makes the tables of all steps. Returns `None` if they are too long for 16-bit positions.
///
/// A step takes the table of the step before if that is exact enough, so a long chain does not need one for each. The
/// error of the interpolation costs less than about 10⁻⁶ nats per dimension and step, and is at most 2⁻¹⁰.
///
/// * `levels`: K;
/// * `gamma`: γ_0 ..= γ_T, increasing. Step 0 has no estimate and takes the table of step 1.
pub fn build_tables(levels: u16, gamma: &[f64]) -> Option<ReadOutSpec> {
    let mut spec = ReadOutSpec::default();
    let mut last: Option<(u16, Vec<u16>)> = None;
    for pair in gamma.windows(2) {
        let &[before, here] = pair else { continue };
        let step = Step::new(levels, before, here);
        let words = step.table();
        let at = match &last {
            Some((at, before)) if step.accepts(&words, before) => *at,
            _ => {
                let at = u16::try_from(spec.words.len() / TABLE_ALIGNMENT).ok()?;
                spec.words.extend_from_slice(&words);
                spec.words.resize(spec.words.len().next_multiple_of(TABLE_ALIGNMENT), 0);
                last = Some((at, words));
                at
            }
        };
        if spec.index.is_empty() {
            spec.index.push(at);
        }
        spec.index.push(at);
    }
    Some(spec)
}

/// One step's G_t as a function of u.
struct Step {
    levels: u16,
    scale: f64,
    snr: f64,
    tolerance: f64,
}

impl Step {
    fn new(levels: u16, gamma_s: f64, gamma_t: f64) -> Self {
        Self {
            levels,
            scale: argument_scale(levels, gamma_t),
            snr: snr(gamma_t),
            // An error e of x̂ costs e² of the weight in nats.
            tolerance: libm::sqrt(NATS / step_weight(gamma_s, gamma_t)).clamp(FINEST, COARSEST),
        }
    }

    fn value(&self, u: f64) -> f64 {
        levels::posterior(self.levels, u / self.scale, self.snr).mean
    }

    /// Returns whether a cell cut into `1 << bits` intervals is exact to a tolerance.
    fn suffices(&self, cell: usize, bits: u32, tolerance: f64) -> bool {
        let count = 1u32 << bits;
        let width = CELL / f64::from(count);
        let start = cell as f64 * CELL;
        let mut low = self.value(start);
        for interval in 0..count {
            let from = start + f64::from(interval) * width;
            let high = self.value(from + width);
            for probe in 1..=PROBES {
                let share = f64::from(probe) / f64::from(PROBES + 1);
                let line = low + share * (high - low);
                if libm::fabs(line - self.value(from + share * width)) > 0.5 * tolerance {
                    return false;
                }
            }
            low = high;
        }
        true
    }

    /// Returns the number of intervals of each cell, as its logarithm.
    fn cut_cells(&self) -> Vec<u32> {
        let mut tolerance = self.tolerance;
        loop {
            let of_cell = |cell| {
                // Each halving divides the error by four: few are tried.
                let mut tried = 0..MAX_BITS;
                tried
                    .find(|&bits| self.suffices(cell, bits, tolerance))
                    .unwrap_or(MAX_BITS)
            };
            let bits: Vec<u32> = (0..CELLS).map(of_cell).collect();
            // Where almost no noise is left, every level is a step of its own: more than a directory can count.
            if bits.iter().map(|&bits| 1usize << bits).sum::<usize>() <= LevelTable::MAX_INTERVALS {
                return bits;
            }
            tolerance *= 2.0;
        }
    }

    /// Returns the table of least length that is exact to the tolerance.
    fn table(&self) -> Vec<u16> {
        let bits = self.cut_cells();
        let mut words = Vec::new();
        let mut first = 0u16;
        for &bits in &bits {
            words.push(LevelTable::directory_entry(first, bits));
            first += 1 << bits;
        }
        let entry = |u: f64| libm::round(self.value(u) * f64::from(CONSTANT_ONE)) as i16 as u16;
        for (cell, &bits) in bits.iter().enumerate() {
            let width = CELL / f64::from(1u32 << bits);
            words.extend((0..1u32 << bits).map(|i| entry(cell as f64 * CELL + f64::from(i) * width)));
        }
        words.push(entry(CELLS as f64 * CELL));
        words
    }

    /// Returns whether another table is exact to the tolerance here.
    ///
    /// * `own`: this step's table, which is exact to half of it.
    fn accepts(&self, own: &[u16], other: &[u16]) -> bool {
        let (Some(own), Some(other)) = (LevelTable::new(own), LevelTable::new(other)) else {
            return false;
        };
        let limit = 0.5 * self.tolerance * f64::from(CONSTANT_ONE);
        let mut magnitude = 0;
        while magnitude < u32::from(LevelTable::LAST) {
            let width = 1 << own.interval(magnitude).width_bits;
            // Between the ends of its own intervals the other table may bend.
            for quarter in 0..4 {
                let at = magnitude + quarter * width / 4;
                if libm::fabs(own.interval(at).value() - other.interval(at).value()) > limit {
                    return false;
                }
            }
            magnitude += width;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Q3_12;
    use crate::number::Number;
    use crate::read_out::{ReadOut, ReadOuts};

    fn schedule(steps: usize, first: f64) -> Vec<f64> {
        (0..=steps)
            .map(|t| first + (6.0 - first) * t as f64 / steps as f64)
            .collect()
    }

    #[test]
    fn both_number_types_read_the_formula() {
        for levels in [2, 3, 17, 256] {
            for first in [-9.0, -2.0] {
                let gamma = schedule(12, first);
                let spec = build_tables(levels, &gamma).unwrap();
                let tables = ReadOuts::Levels {
                    index: &spec.index,
                    words: &spec.words,
                };
                for t in 1..gamma.len() {
                    let step = Step::new(levels, gamma[t - 1], gamma[t]);
                    for count in (i32::from(i16::MIN)..=i32::from(i16::MAX)).step_by(37) {
                        let u = Q3_12(count as i16);
                        let exact = step.value(f64::from(u.to_f32()));
                        let fixed = f64::from(u.read_out(tables.get(t)).to_f32());
                        let float = f64::from(u.to_f32().read_out(tables.get(t)));
                        assert!(
                            (float - exact).abs() < step.tolerance + 1e-4,
                            "{levels} {t} {count}: {float} {exact}"
                        );
                        assert!(
                            (fixed - float).abs() <= 1.01 * FINEST,
                            "{levels} {t} {count}: {fixed} {float}"
                        );
                        assert_eq!(
                            Q3_12(u.0.saturating_neg()).read_out(tables.get(t)).0,
                            -u.read_out(tables.get(t)).0
                        );
                    }
                }
            }
        }
    }

    /// With almost no noise G_t jumps from level to level, and a directory cannot count as many intervals as it has
    /// arguments.
    #[test]
    fn the_steepest_staircases_have_tables() {
        for levels in [2, 17, 256] {
            let gamma = schedule(8, -14.0);
            let spec = build_tables(levels, &gamma).unwrap();
            let bytes: Vec<u8> = spec.words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let step = Step::new(levels, gamma[0], gamma[1]);
            let at = usize::from(spec.index[1]) * TABLE_ALIGNMENT;
            assert!(LevelTable::checked_len(&bytes, 2 * at).is_some());
            let table = ReadOut::Levels(LevelTable::new(&spec.words[at..]).unwrap());
            let error = |count: i16| {
                let u = Q3_12(count).to_f32();
                libm::fabs(f64::from(u.read_out(table)) - step.value(f64::from(u)))
            };
            let mean = (0..=i16::MAX).map(error).sum::<f64>() / f64::from(i16::MAX);
            assert!(mean < 1e-4, "{levels}: {mean}");
        }
    }

    #[test]
    fn long_chains_share_tables() {
        let few = build_tables(17, &schedule(64, -2.0)).unwrap().words.len();
        let many = build_tables(17, &schedule(2000, -2.0)).unwrap().words.len();
        assert!(many < 12 * few, "{few} {many}");
        assert!(few < 64 * 160, "{few}");
    }

    #[test]
    fn what_has_no_table_is_clipped() {
        let none = ReadOuts::Levels { index: &[], words: &[] };
        assert!(matches!(none.get(3), ReadOut::Clip));
    }
}
