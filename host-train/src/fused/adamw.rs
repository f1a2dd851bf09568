//! AdamW's update of one parameter: fused in one pass, and composed of candle's operations.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor};

/// Rows of a parameter's state: value, first moment, second moment, average.
pub const STATE_ROWS: usize = 4;

/// Settings of one update of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// Learning rate.
    pub rate: f64,
    /// Decoupled weight decay (Loshchilov and Hutter 2019).
    pub decay: f64,
    /// Factor of the gradient: below 1 where its norm is clipped.
    pub gradient_scale: f64,
    /// Factors that depend on the step.
    pub step: StepFactors,
    /// AdamW's constants.
    pub adam: Adam,
}

/// AdamW's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

/// Numbers that change from step to step, as they lie on the device.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepFactors {
    /// Learning rate.
    pub rate: f64,
    /// Divisor of the first moment, which corrects its start at zero.
    pub first: f64,
    /// Factor of the second moment's root, which corrects its start at zero.
    pub root: f64,
    /// Decay of the moving average.
    pub ema: f64,
}

impl StepFactors {
    /// Returns the four fields as words of 64 bits.
    pub fn words(&self) -> [u64; 4] {
        [self.rate, self.first, self.root, self.ema].map(f64::to_bits)
    }
}

/// Coefficients of an update in f32, computed once.
struct Coefficients {
    keep: f32,
    rate: f32,
    root: f32,
    scale: f32,
    ema: f32,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
}

impl Coefficients {
    fn new(h: Hyper) -> Self {
        Self {
            keep: (1.0 - h.rate * h.decay) as f32,
            rate: (h.rate / h.step.first) as f32,
            root: h.step.root as f32,
            scale: h.gradient_scale as f32,
            ema: h.step.ema as f32,
            beta_1: h.adam.beta_1 as f32,
            beta_2: h.adam.beta_2 as f32,
            epsilon: h.adam.epsilon as f32,
        }
    }
}

/// An update in one pass over memory instead of a dozen.
pub struct FusedAdamW(pub Hyper);

impl InplaceOp2 for FusedAdamW {
    fn name(&self) -> &'static str {
        "fused-adamw"
    }

    fn cpu_fwd(&self, state: &mut CpuStorage, at: &Layout, gradient: &CpuStorage, from: &Layout) -> Result<()> {
        let (Some((a, b)), Some((c, d))) = (at.contiguous_offsets(), from.contiguous_offsets()) else {
            candle_core::bail!("fused-adamw: state and gradient must be contiguous")
        };
        let (CpuStorage::F32(state), CpuStorage::F32(gradient)) = (state, gradient) else {
            candle_core::bail!("fused-adamw: state and gradient must be f32")
        };
        let (state, gradient) = (&mut state[a..b], &gradient[c..d]);
        if state.len() != STATE_ROWS * gradient.len() {
            candle_core::bail!(
                "fused-adamw: the state has {} values for {} gradients",
                state.len(),
                gradient.len()
            )
        }
        let n = gradient.len();
        let (value, rest) = state.split_at_mut(n);
        let (first, rest) = rest.split_at_mut(n);
        let (second, average) = rest.split_at_mut(n);
        let f = Coefficients::new(self.0);
        let (b1, b2, epsilon) = (f.beta_1, f.beta_2, f.epsilon);
        // Compiled for the vectors of this machine. No multiplication is fused with an addition, so the bits are the
        // same on every machine.
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((((v, m), s), a), g) in value.iter_mut().zip(first).zip(second).zip(average).zip(gradient) {
                    let g = g * f.scale;
                    *m = b1 * *m + (1.0 - b1) * g;
                    *s = b2 * *s + (1.0 - b2) * g * g;
                    *v = f.keep * *v - f.rate * *m / (s.sqrt() * f.root + epsilon);
                    *a = f.ema * *a + (1.0 - f.ema) * *v;
                }
            },
        );
        Ok(())
    }
}

/// Computes the same update by candle's own operations, for devices that the fused one does not serve.
pub fn composed(state: &Tensor, gradient: &Tensor, hyper: Hyper) -> Result<Tensor> {
    let f = Coefficients::new(hyper);
    let (value, first, second, average) = (state.get(0)?, state.get(1)?, state.get(2)?, state.get(3)?);
    let g = (gradient * f64::from(f.scale))?;
    let first = ((first * hyper.adam.beta_1)? + (&g * (1.0 - hyper.adam.beta_1))?)?;
    let second = ((second * hyper.adam.beta_2)? + (g.sqr()? * (1.0 - hyper.adam.beta_2))?)?;
    let root = second.sqrt()?.affine(f64::from(f.root), hyper.adam.epsilon)?;
    let value = ((value * f64::from(f.keep))? - ((&first * f64::from(f.rate))? / root)?)?;
    let average = ((average * f64::from(f.ema))? + (&value * (1.0 - f64::from(f.ema)))?)?;
    Tensor::stack(&[value, first, second, average], 0)
}
