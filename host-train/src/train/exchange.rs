//! One step's gradients of all ranks, added up in one buffer.

use crate::optimizer::Slot;
use crate::parallel::{Elsewhere, Group};
use crate::rng::Share;
use anyhow::{Result, bail};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// What the rows of a share say in one step, as means over them.
pub struct Found {
    /// Reconstruction, prior and diffusion in nats per row.
    pub terms: [f32; 3],
    /// Of every parameter.
    pub gradients: GradStore,
    /// Parameters whose gradient is divided by the square of the diffusion term ([`crate::train::loss::continuous`]).
    pub relative: Vec<Var>,
}

/// Numbers at the end of the buffer: three terms, how many ranks were told to stop, how many have failed.
const LAST: usize = 5;

/// Adds up what the ranks find.
pub struct Exchange<'a> {
    group: &'a dyn Group,
    share: Share,
    buffer: Vec<f32>,
}

impl<'a> Exchange<'a> {
    /// For batches of `batch` rows.
    pub fn new(group: &'a dyn Group, batch: usize) -> Result<Self> {
        Ok(Self {
            group,
            share: group.share(batch)?,
            buffer: Vec::new(),
        })
    }

    /// This rank's rows of a batch.
    pub fn share(&self) -> Share {
        self.share
    }

    /// What the whole batch says, and whether any rank was told to stop. Fails on all ranks where `own` is an error on one.
    pub fn sum(&mut self, slots: &[Slot], own: Result<Found>, stop: bool) -> Result<(Found, bool)> {
        if self.group.size() == 1 {
            return Ok((own?, stop));
        }
        let packed = own.and_then(|found| {
            self.pack(slots, &found)?;
            Ok(found)
        });
        let values: usize = slots.iter().map(|slot| slot.parameter.var.elem_count()).sum();
        if packed.is_err() {
            self.buffer.clear();
        }
        // A rank that has failed takes part with nothing, so that the others do not wait for it.
        self.buffer.resize(values + slots.len(), 0.0);
        let terms = packed.as_ref().map_or([0.0; 3], |found| found.terms);
        let fraction = self.share.fraction() as f32;
        self.buffer.extend(terms.map(|term| fraction * term));
        self.buffer
            .extend([stop, packed.is_err()].map(|is| f32::from(u8::from(is))));
        self.group.sum(&mut self.buffer);
        let mut found = packed?;
        let (_, &[.., stopped, failed]) = self.buffer.split_at(values + slots.len()) else {
            bail!("the gradients of all ranks came back with another length");
        };
        if failed > 0.0 {
            return Err(Elsewhere.into());
        }
        self.unpack(slots, &mut found)?;
        Ok((found, stopped > 0.0))
    }

    /// Gradients by the weight of this share, then for each parameter whether it has one.
    fn pack(&mut self, slots: &[Slot], found: &Found) -> Result<()> {
        self.buffer.clear();
        for slot in slots {
            let var = &slot.parameter.var;
            let end = self.buffer.len() + var.elem_count();
            if let Some(gradient) = found.gradients.get(var) {
                let weight = self.share.fraction() * divisor(found, var);
                let gradient: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
                self.buffer.extend(gradient.iter().map(|g| g * weight as f32));
            }
            self.buffer.resize(end, 0.0);
        }
        let present = slots
            .iter()
            .map(|slot| found.gradients.get(&slot.parameter.var).is_some());
        self.buffer.extend(present.map(|is| f32::from(u8::from(is))));
        Ok(())
    }

    /// The inverse, from the sums.
    fn unpack(&self, slots: &[Slot], found: &mut Found) -> Result<()> {
        let (values, rest) = self.buffer.split_at(self.buffer.len() - LAST - slots.len());
        let (present, last) = rest.split_at(slots.len());
        if let [reconstruction, prior, diffusion, ..] = *last {
            found.terms = [reconstruction, prior, diffusion];
        }
        let mut values = values;
        for (slot, present) in slots.iter().zip(present) {
            let var = &slot.parameter.var;
            let (own, others) = values.split_at(var.elem_count());
            values = others;
            if *present > 0.0 {
                let gradient = Tensor::from_slice(own, var.shape(), var.device())?;
                let weight = 1.0 / divisor(found, var);
                let gradient = if weight == 1.0 { gradient } else { (gradient * weight)? };
                found.gradients.insert(var, gradient);
            }
        }
        Ok(())
    }
}

/// What a parameter's gradient is divided by: it differs between shares, so sums are made without it.
fn divisor(found: &Found, var: &Var) -> f64 {
    match found.relative.iter().any(|relative| relative.id() == var.id()) {
        true => f64::from(found.terms[2]).powi(2),
        false => 1.0,
    }
}
