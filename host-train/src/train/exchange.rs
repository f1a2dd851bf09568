//! The sum over all ranks of one step's gradients, in one buffer.

use super::step_result::StepResult;
use crate::optimizer::Slot;
use crate::parallel::{Group, ReportedByOtherRank};
use crate::rng::Share;
use anyhow::{Result, bail};
use candle_core::{Tensor, Var};

/// Numbers at the end of the buffer: three terms, the ranks that were asked to stop, the ranks that have failed.
const LAST: usize = 5;

/// Adds up the results of all ranks.
pub struct Exchange<'a> {
    group: &'a dyn Group,
    share: Share,
    buffer: Vec<f32>,
}

impl<'a> Exchange<'a> {
    /// An exchange for batches of `batch` rows.
    ///
    /// # Errors
    /// Fails if a rank would have no row.
    pub fn new(group: &'a dyn Group, batch: usize) -> Result<Self> {
        Ok(Self {
            group,
            share: group.share(batch)?,
            buffer: Vec::new(),
        })
    }

    /// Returns this rank's rows of a batch.
    pub fn share(&self) -> Share {
        self.share
    }

    /// Returns the result for the whole batch, and true if any rank was asked to stop.
    ///
    /// # Errors
    /// Fails on all ranks if `local` is an error on one.
    pub fn sum(&mut self, slots: &[Slot], local: Result<StepResult>, stop: bool) -> Result<(StepResult, bool)> {
        if self.group.size() == 1 {
            return Ok((local?, stop));
        }
        let packed = local.and_then(|result| {
            self.pack(slots, &result)?;
            Ok(result)
        });
        let values: usize = slots.iter().map(|slot| slot.parameter.var.elem_count()).sum();
        if packed.is_err() {
            self.buffer.clear();
        }
        // A rank that has failed takes part with zeros, so that the others do not wait for it.
        self.buffer.resize(values + slots.len(), 0.0);
        let terms = packed.as_ref().map_or([0.0; 3], |result| result.terms);
        let fraction = self.share.fraction() as f32;
        self.buffer.extend(terms.map(|term| fraction * term));
        self.buffer
            .extend([stop, packed.is_err()].map(|is| f32::from(u8::from(is))));
        self.group.sum(&mut self.buffer);
        let mut result = packed?;
        let (_, &[.., stopped, failed]) = self.buffer.split_at(values + slots.len()) else {
            bail!("the gradients of all ranks came back with another length");
        };
        if failed > 0.0 {
            return Err(ReportedByOtherRank.into());
        }
        self.unpack(slots, &mut result)?;
        Ok((result, stopped > 0.0))
    }

    /// Packs the gradients times the weight of this share, then a flag for each parameter that has one.
    fn pack(&mut self, slots: &[Slot], result: &StepResult) -> Result<()> {
        self.buffer.clear();
        for slot in slots {
            let var = &slot.parameter.var;
            let end = self.buffer.len() + var.elem_count();
            if let Some(gradient) = result.gradients.get(var) {
                let weight = self.share.fraction() * divisor(result, var);
                let gradient: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
                self.buffer.extend(gradient.iter().map(|g| g * weight as f32));
            }
            self.buffer.resize(end, 0.0);
        }
        let present = slots
            .iter()
            .map(|slot| result.gradients.get(&slot.parameter.var).is_some());
        self.buffer.extend(present.map(|is| f32::from(u8::from(is))));
        Ok(())
    }

    /// Unpacks the sums.
    fn unpack(&self, slots: &[Slot], result: &mut StepResult) -> Result<()> {
        let (values, rest) = self.buffer.split_at(self.buffer.len() - LAST - slots.len());
        let (present, last) = rest.split_at(slots.len());
        if let [reconstruction, prior, diffusion, ..] = *last {
            result.terms = [reconstruction, prior, diffusion];
        }
        let mut values = values;
        for (slot, present) in slots.iter().zip(present) {
            let var = &slot.parameter.var;
            let (own, others) = values.split_at(var.elem_count());
            values = others;
            if *present > 0.0 {
                let gradient = Tensor::from_slice(own, var.shape(), var.device())?;
                let weight = 1.0 / divisor(result, var);
                let gradient = if weight == 1.0 { gradient } else { (gradient * weight)? };
                result.gradients.insert(var, gradient);
            }
        }
        Ok(())
    }
}

/// Returns the divisor of a parameter's gradient. It differs between shares, so it is left out of the sums.
fn divisor(result: &StepResult, var: &Var) -> f64 {
    match result.relative.iter().any(|relative| relative.id() == var.id()) {
        true => f64::from(result.terms[2]).powi(2),
        false => 1.0,
    }
}
