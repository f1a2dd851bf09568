//! Other steps of the same model, chosen at run time: fewer of them, and with less noise.
//!
//! A model file brings the table of its own T steps. [`OwnedStepTable`] makes another table from the model's γ, on the
//! device: evenly spaced time steps of the model. Between two of them lies the step with the share η of the posterior's
//! noise (Song et al. 2021, "DDIM", section 4.1): η = 1 is the ancestral step, η = 0 is deterministic given z_T.
//! Nothing else changes.
//!
//! ```
//! use ancestral::steps::OwnedStepTable;
//! use ancestral::storage::Inline;
//! use ancestral::{Q3_12, Sampler, W8A16};
//! use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
//!
//! ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
//!
//! // Sixteen of the model's sixty-four steps, without noise: memory for up to thirty-two.
//! let table = OwnedStepTable::<Q3_12, 33>::new(DIGITS.model(), 16, 0.0)?;
//! let mut sampler = Sampler::with_table(DIGITS.model(), Inline::<W8A16, 64, 256>::default(), table.view())?;
//! let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
//! assert_eq!(sampler.sample(&mut rng).len(), 64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::format::Format;
use crate::model::{Model, StepTable};
use crate::number::Number;
use crate::read_out::ReadOuts;
use crate::schedule::{Schedule, StepConstants, step_weight};

/// A table of up to `ENTRIES − 1` steps, with its memory.
#[derive(Clone, Debug)]
pub struct OwnedStepTable<'m, N: Number, const ENTRIES: usize> {
    steps: usize,
    read_outs: ReadOuts<'m>,
    gamma: [f32; ENTRIES],
    constants: [[N::Constant; 8]; ENTRIES],
    weight: [f32; ENTRIES],
    times: [u16; ENTRIES],
}

/// Reason why there is no such table.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StepTableError {
    /// The number of steps is 0, or more than the model has.
    Count {
        /// Number asked for.
        steps: usize,
        /// Number of the model's steps.
        most: usize,
    },
    /// There is no memory for as many steps.
    Capacity {
        /// Number asked for.
        steps: usize,
        /// Largest number that fits: one less than there are entries.
        most: usize,
    },
    /// η is not in 0..=1.
    Eta,
    /// A constant of the step does not fit the number format.
    Constant {
        /// The step.
        step: usize,
    },
}

impl core::fmt::Display for StepTableError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Count { steps, most } => write!(f, "{steps} steps cannot be taken: the model has 1 to {most}"),
            Self::Capacity { steps, most } => write!(f, "{steps} steps do not fit: there is memory for {most}"),
            Self::Eta => f.write_str("eta, the share of the noise, must be between 0 and 1"),
            Self::Constant { step } => write!(f, "step {step}: a constant does not fit the number format"),
        }
    }
}

impl core::error::Error for StepTableError {}

impl<'m, N: Number, const ENTRIES: usize> OwnedStepTable<'m, N, ENTRIES> {
    /// Makes a table of `steps` of the model's steps, spaced as evenly as whole numbers allow.
    ///
    /// * `eta`: share of the posterior's standard deviation, 0..=1.
    ///
    /// The constants are computed in `f64` from the model's γ, as the exporter computes them. A reverse variance of the
    /// model belongs to its own steps and is left out.
    ///
    /// # Errors
    ///
    /// [`StepTableError`] if the model or the memory has fewer steps, if η is out of range, or if a constant does not
    /// fit the number format.
    pub fn new<F: Format<Number = N>>(model: &Model<'m, F>, steps: usize, eta: f64) -> Result<Self, StepTableError> {
        let own = model.step_table();
        let most = own.steps();
        if steps == 0 || steps > most {
            return Err(StepTableError::Count { steps, most });
        }
        if steps >= ENTRIES {
            return Err(StepTableError::Capacity {
                steps,
                most: ENTRIES.saturating_sub(1),
            });
        }
        if !(0.0..=1.0).contains(&eta) {
            return Err(StepTableError::Eta);
        }
        let mut table = Self {
            steps,
            read_outs: own.read_outs,
            gamma: [0.0; ENTRIES],
            constants: [[N::Constant::default(); 8]; ENTRIES],
            weight: [0.0; ENTRIES],
            times: [0; ENTRIES],
        };
        let prediction = model.header().prediction;
        let mut before = 0.0;
        for step in 0..=steps {
            // The nearest of the model's times; distinct, because steps ≤ T.
            let time = (2 * step * most + steps) / (2 * steps);
            let gamma = own.gamma.get(time).copied().unwrap_or(0.0);
            let wide = f64::from(gamma);
            let (real, weight) = if step == 0 {
                (StepConstants::at_start(prediction, wide), 0.0)
            } else {
                (
                    StepConstants::with_noise(prediction, before, wide, eta),
                    step_weight(before, wide),
                )
            };
            let mut record = real.quantize::<N>().map_err(|_| StepTableError::Constant { step })?;
            if let Some(same_time) = own.constants_at(time) {
                // They depend on this time alone, and the exporter has put the gain of the network's output into them.
                (record.skip, record.out) = (same_time.skip, same_time.out);
            }
            if let (Some(g), Some(c), Some(w), Some(t)) = (
                table.gamma.get_mut(step),
                table.constants.get_mut(step),
                table.weight.get_mut(step),
                table.times.get_mut(step),
            ) {
                (*g, *c, *w, *t) = (gamma, record.to_array(), weight as f32, time as u16);
            }
            before = wide;
        }
        Ok(table)
    }

    /// Borrows the table as the sampler takes it.
    pub fn view(&self) -> StepTable<'_, N> {
        let entries = self.steps + 1;
        StepTable {
            gamma: self.gamma.get(..entries).unwrap_or(&[]),
            constants: self.constants.get(..entries).unwrap_or(&[]),
            weight: self.weight.get(..entries).unwrap_or(&[]),
            times: self.times.get(..entries).unwrap_or(&[]),
            read_outs: self.read_outs,
            reverse_variance: None,
        }
    }

    /// γ as a schedule, for everything that follows from it.
    pub fn schedule(&self) -> Option<Schedule<'_, f32>> {
        self.gamma.get(..=self.steps).and_then(|g| Schedule::new(g).ok())
    }
}
