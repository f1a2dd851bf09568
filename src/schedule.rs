//! The Gaussian process of a variational diffusion model, and the table of steps made from it.
//!
//! Everything here is a function of `γ = −log SNR`, increasing in t, with `α² = sigmoid(−γ)` and `σ² = sigmoid(γ)`
//! (variance preserving; Kingma et al. 2021, "Variational Diffusion Models", section 3.1 and appendix A). Step `t` in
//! `1..=T` goes between times `s = t − 1` and `t`.
//!
//! The formulas are written once, generic over [`Real`] (`f32` on a device, `f64` on the host), in forms that do not
//! cancel: products of `softplus` and `expm1` instead of differences of variances.

use crate::levels;
use crate::real::Real;

/// `ln(1 + eˣ)`.
pub fn softplus<R: Real>(x: R) -> R {
    let tail = (-x.abs()).exp().ln_1p();
    if x > R::from_f64(0.0) { x + tail } else { tail }
}

/// α = √sigmoid(−γ), the scale of the data in z.
pub fn alpha<R: Real>(gamma: R) -> R {
    (R::from_f64(-0.5) * softplus(gamma)).exp()
}

/// σ = √sigmoid(γ), the standard deviation of the noise in z.
pub fn sigma<R: Real>(gamma: R) -> R {
    alpha(-gamma)
}

/// SNR = e^−γ = α²/σ².
pub fn snr<R: Real>(gamma: R) -> R {
    (-gamma).exp()
}

/// A Gaussian that is linear in what it is conditioned on: `N(scale · input, deviation² · I)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear<R> {
    /// Factor of the conditioning vector in the mean.
    pub scale: R,
    /// Standard deviation, the same in every dimension.
    pub deviation: R,
}

/// The kernel `q(z_t | x) = N(α_t x, σ_t² I)`: any t at once.
pub fn kernel<R: Real>(gamma: R) -> Linear<R> {
    Linear {
        scale: alpha(gamma),
        deviation: sigma(gamma),
    }
}

/// The chain `q(z_t | z_s) = N((α_t/α_s) z_s, (σ_t² − (α_t/α_s)² σ_s²) I)` for `γ_s ≤ γ_t`.
///
/// The variance is computed as `σ_t² · −expm1(γ_s − γ_t)`, which is the same number.
pub fn chain<R: Real>(gamma_s: R, gamma_t: R) -> Linear<R> {
    Linear {
        scale: (R::from_f64(0.5) * (softplus(gamma_s) - softplus(gamma_t))).exp(),
        deviation: sigma(gamma_t) * (-(gamma_s - gamma_t).exp_m1()).sqrt(),
    }
}

/// `N(keep · z_t + pull · x, deviation² I)`: the true posterior `q(z_s | z_t, x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior<R> {
    /// Factor of z_t in the mean.
    pub keep: R,
    /// Factor of x in the mean.
    pub pull: R,
    /// Standard deviation.
    pub deviation: R,
}

/// The posterior `q(z_s | z_t, x)` (Kingma et al. 2021, appendix A.2); with `c = −expm1(γ_s − γ_t)`, its
/// constants are `pull = α_s c`, `deviation = σ_s √c` and `keep = (α_t/α_s) σ_s²/σ_t²`. All lie in (0, 1).
pub fn posterior<R: Real>(gamma_s: R, gamma_t: R) -> Posterior<R> {
    let c = -(gamma_s - gamma_t).exp_m1();
    let half = R::from_f64(0.5);
    Posterior {
        keep: (half * (softplus(gamma_s) - softplus(gamma_t)) + softplus(-gamma_t) - softplus(-gamma_s)).exp(),
        pull: alpha(gamma_s) * c,
        deviation: sigma(gamma_s) * c.sqrt(),
    }
}

/// The cost in nats of one unit of `‖x − x̂‖²` at a step with the posterior's own variance:
/// `½ (SNR_s − SNR_t) = ½ e^−γ_s · c`.
pub fn step_weight<R: Real>(gamma_s: R, gamma_t: R) -> R {
    R::from_f64(0.5) * snr(gamma_s) * -(gamma_s - gamma_t).exp_m1()
}

/// The prior term `D_KL(q(z_T | x) ‖ N(0, I))` of one row in nats: `½ Σ_d [α_T² (x_d² − 1) + softplus(−γ_T)]`.
///
/// * `energy`: `Σ_d x_d²`;
/// * `dim`: number of dimensions in that sum.
pub fn prior_nats<R: Real>(gamma_last: R, energy: R, dim: usize) -> R {
    let a = alpha(gamma_last);
    prior_nats_from(a * a, softplus(-gamma_last), energy - R::from_f64(dim as f64), dim)
}

/// [`prior_nats`] from the contents of a model file: `α_T²`, `−ln σ_T²`, and the excess `Σ_d (x_d² − 1)`.
pub fn prior_nats_from<R: Real>(alpha_squared: R, log_precision: R, excess: R, dim: usize) -> R {
    R::from_f64(0.5) * (alpha_squared * excess + R::from_f64(dim as f64) * log_precision)
}

/// Quantity that the network's output `f` estimates, and with it the form of x̂.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Prediction {
    /// `v = α ε − σ x`; `x̂ = α z − σ f`. At low noise z itself carries the answer.
    V,
    /// The data; `x̂ = f`.
    X,
    /// Log-odds of each level against the one below, as the other dimensions tell; `x̂ = G_t((α/σ²) z + f/Δ)`, see
    /// [`levels`]. For discretized data.
    Odds {
        /// Number of levels K, 2..=256.
        levels: u16,
    },
}

impl Prediction {
    /// Returns the value with this code in a model file.
    ///
    /// * `levels`: number of levels of the data.
    pub const fn from_code(code: u8, levels: u16) -> Option<Self> {
        match code {
            0 => Some(Self::V),
            1 => Some(Self::X),
            2 if levels >= 2 => Some(Self::Odds { levels }),
            _ => None,
        }
    }

    /// Returns the code in a model file.
    pub const fn code(self) -> u8 {
        match self {
            Self::V => 0,
            Self::X => 1,
            Self::Odds { .. } => 2,
        }
    }

    /// Returns the factors of z and of f in the argument of the read-out: `u = skip·z + out·f`.
    ///
    /// For V and X the argument is an estimate of x. For [`Self::Odds`] it is η times [`argument_scale`].
    pub fn argument_factors<R: Real>(self, gamma: R) -> (R, R) {
        match self {
            Self::V => (alpha(gamma), -sigma(gamma)),
            Self::X => (R::from_f64(0.0), R::from_f64(1.0)),
            Self::Odds { levels } => {
                let (scale, variance) = (argument_scale(levels, gamma), sigma(gamma) * sigma(gamma));
                (scale * alpha(gamma) / variance, scale / levels::spacing::<R>(levels))
            }
        }
    }
}

/// Scale c of the argument η of [`levels`] at a step: `c = min(Δ, σ²/α)`.
///
/// With it the factors of z and f are at most one. Where z tells most, `c·η = z + …` is near the data, and where f
/// tells most it is near f.
pub fn argument_scale<R: Real>(levels: u16, gamma: R) -> R {
    let (spacing, own) = (levels::spacing::<R>(levels), sigma(gamma) * sigma(gamma) / alpha(gamma));
    if spacing < own { spacing } else { own }
}

/// The constants of one step, in the number format of the runtime (`f32`, or `i16` in Q1.14).
///
/// ```text
/// x̂   = G_t(skip·z_t + out·f(z_t, t))       G_t: the read-out
/// z_s = keep·z_t + pull·x̂ + spread·n        n ~ N(0, I)
/// z_t = alpha·x + sigma·n                     the kernel, for the ELBO
/// ```
///
/// Entry 0 of a table has `keep = pull = spread = 0`: there is no step out of t = 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepConstants<C> {
    /// Factor of z_t in the argument of the read-out.
    pub skip: C,
    /// Factor of the network's output in the argument of the read-out.
    pub out: C,
    /// Factor of z_t in the mean of z_s.
    pub keep: C,
    /// Factor of x̂ in the mean of z_s.
    pub pull: C,
    /// Standard deviation of z_s.
    pub spread: C,
    /// Factor of x in z_t.
    pub alpha: C,
    /// Standard deviation of z_t given x.
    pub sigma: C,
    /// Zero; makes the record's size a power of two.
    pub reserved: C,
}

impl<C: Copy> StepConstants<C> {
    /// Reads the constants in the order of a file.
    pub const fn from_array(a: [C; 8]) -> Self {
        let [skip, out, keep, pull, spread, alpha, sigma, reserved] = a;
        Self {
            skip,
            out,
            keep,
            pull,
            spread,
            alpha,
            sigma,
            reserved,
        }
    }

    /// Lists the constants in the order of a file.
    pub const fn to_array(self) -> [C; 8] {
        [
            self.skip,
            self.out,
            self.keep,
            self.pull,
            self.spread,
            self.alpha,
            self.sigma,
            self.reserved,
        ]
    }

    /// Converts each constant.
    pub fn map<B: Copy>(self, f: impl FnMut(C) -> B) -> StepConstants<B> {
        StepConstants::from_array(self.to_array().map(f))
    }
}

impl<R: Real> StepConstants<R> {
    /// Entry 0 of a table: the kernel at `γ_0`, and the argument of the network decoder.
    pub fn at_start(prediction: Prediction, gamma_0: R) -> Self {
        let zero = R::from_f64(0.0);
        let Linear { scale, deviation } = kernel(gamma_0);
        let (skip, out) = prediction.argument_factors(gamma_0);
        Self::from_array([skip, out, zero, zero, zero, scale, deviation, zero])
    }

    /// The step from `γ_t` to `γ_s` with the share η of the posterior's noise: `spread = η σ_s √c`,
    /// `keep = √(σ_s² − spread²)/σ_t`, `pull = α_s − keep α_t` (Song et al. 2021, "Denoising Diffusion Implicit
    /// Models", equation 12, for a variance-preserving process). η = 1 is [`Self::ancestral`], η = 0 is deterministic;
    /// all have the same marginals q(z_s | x).
    pub fn with_noise(prediction: Prediction, gamma_s: R, gamma_t: R, eta: R) -> Self {
        let ancestral = Self::ancestral(prediction, gamma_s, gamma_t);
        if eta >= R::from_f64(1.0) {
            // The same numbers, in forms that do not cancel.
            return ancestral;
        }
        let (start, end) = (kernel(gamma_s), kernel(gamma_t));
        let spread = eta * ancestral.spread;
        let keep = (start.deviation * start.deviation - spread * spread).sqrt() / end.deviation;
        Self {
            keep,
            pull: start.scale - keep * end.scale,
            spread,
            ..ancestral
        }
    }

    /// The ancestral step from `γ_t` to `γ_s`: posterior mean and the posterior's own variance.
    pub fn ancestral(prediction: Prediction, gamma_s: R, gamma_t: R) -> Self {
        let Linear {
            scale: alpha,
            deviation: sigma,
        } = kernel(gamma_t);
        let Posterior {
            keep,
            pull,
            deviation: spread,
        } = posterior(gamma_s, gamma_t);
        let (skip, out) = prediction.argument_factors(gamma_t);
        Self::from_array([skip, out, keep, pull, spread, alpha, sigma, R::from_f64(0.0)])
    }
}

/// Reason why a list of γ is not a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ScheduleError {
    /// Fewer than two values: there is no step.
    TooShort,
    /// `γ[index]` is infinite or NaN.
    NotFinite {
        /// Index of the value.
        index: usize,
    },
    /// `γ[index]` is not above `γ[index − 1]`.
    NotIncreasing {
        /// Index of the value.
        index: usize,
    },
}

impl core::fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooShort => f.write_str("a schedule needs at least two values of gamma (one step)"),
            Self::NotFinite { index } => write!(f, "gamma[{index}] is not a finite number"),
            Self::NotIncreasing { index } => write!(
                f,
                "gamma[{index}] is not above gamma[{}]: gamma = -log SNR must increase with t",
                index - 1
            ),
        }
    }
}

impl core::error::Error for ScheduleError {}

/// A checked schedule: `γ_0 < γ_1 < … < γ_T`.
///
/// ```
/// use ancestral::schedule::Schedule;
/// let gamma = [-6.0f64, -2.0, 2.0, 6.0];
/// let schedule = Schedule::new(&gamma).unwrap();
/// assert_eq!(schedule.steps(), 3);
/// let q = schedule.kernel(3).unwrap(); // q(z_3 | x)
/// assert!(q.deviation > 0.99);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a, R> {
    gamma: &'a [R],
}

impl<'a, R: Real> Schedule<'a, R> {
    /// Checks that `gamma` (T + 1 values) is finite and strictly increasing.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] if it is not, or if there are fewer than two values.
    pub fn new(gamma: &'a [R]) -> Result<Self, ScheduleError> {
        if gamma.len() < 2 {
            return Err(ScheduleError::TooShort);
        }
        for (index, g) in gamma.iter().enumerate() {
            if !g.is_finite() {
                return Err(ScheduleError::NotFinite { index });
            }
        }
        for (i, pair) in gamma.windows(2).enumerate() {
            if let [s, t] = pair
                && s >= t
            {
                return Err(ScheduleError::NotIncreasing { index: i + 1 });
            }
        }
        Ok(Self { gamma })
    }

    /// T, the number of steps.
    pub fn steps(&self) -> usize {
        self.gamma.len().saturating_sub(1)
    }

    /// `γ_0 ..= γ_T`.
    pub fn gamma(&self) -> &'a [R] {
        self.gamma
    }

    /// `q(z_t | x)` for `t` in `0..=T`.
    pub fn kernel(&self, t: usize) -> Option<Linear<R>> {
        self.gamma.get(t).map(|&g| kernel(g))
    }

    /// `q(z_t | z_{t−1})` for `t` in `1..=T`.
    pub fn chain(&self, t: usize) -> Option<Linear<R>> {
        self.pair(t).map(|(s, t)| chain(s, t))
    }

    /// `q(z_{t−1} | z_t, x)` for `t` in `1..=T`.
    pub fn posterior(&self, t: usize) -> Option<Posterior<R>> {
        self.pair(t).map(|(s, t)| posterior(s, t))
    }

    /// The constants of entry `t` of the step table, `t` in `0..=T`.
    pub fn constants(&self, prediction: Prediction, t: usize) -> Option<StepConstants<R>> {
        if t == 0 {
            return self.gamma.first().map(|&g| StepConstants::at_start(prediction, g));
        }
        self.pair(t).map(|(s, t)| StepConstants::ancestral(prediction, s, t))
    }

    /// The weight of `‖x − x̂‖²` in entry `t` of the step table, `t` in `0..=T` (0 at t = 0), in nats.
    pub fn weight(&self, t: usize) -> Option<R> {
        if t == 0 {
            return Some(R::from_f64(0.0));
        }
        self.pair(t).map(|(s, t)| step_weight(s, t))
    }

    fn pair(&self, t: usize) -> Option<(R, R)> {
        Some((*self.gamma.get(t.checked_sub(1)?)?, *self.gamma.get(t)?))
    }
}
