//! The Gaussian process: the chain, the kernel, the posterior, and how they belong together.

use ancestral::number::Number;
use ancestral::schedule::{
    Linear, Prediction, Schedule, ScheduleError, StepConstants, alpha, chain, kernel, posterior, prior_nats, sigma,
    snr, softplus, step_weight,
};
use ancestral::{Q3_12, rand_core::Rng};
use proptest::prelude::*;
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

/// An increasing list of γ of 2 to 40 entries.
fn gammas() -> impl Strategy<Value = Vec<f64>> {
    (-12.0f64..0.0, prop::collection::vec(1e-3f64..2.0, 1..40)).prop_map(|(first, steps)| {
        let mut list = vec![first];
        for step in steps {
            list.push(list[list.len() - 1] + step);
        }
        list
    })
}

proptest! {
    #[test]
    fn the_chain_composed_t_times_is_the_kernel(gamma in gammas()) {
        let schedule = Schedule::new(&gamma).unwrap();
        let mut composed = schedule.kernel(0).unwrap();
        for t in 1..=schedule.steps() {
            let step = schedule.chain(t).unwrap();
            composed = Linear {
                scale: step.scale * composed.scale,
                deviation: (step.scale.powi(2) * composed.deviation.powi(2) + step.deviation.powi(2)).sqrt(),
            };
            let direct = schedule.kernel(t).unwrap();
            prop_assert!((composed.scale / direct.scale - 1.0).abs() < 1e-11);
            prop_assert!((composed.deviation / direct.deviation - 1.0).abs() < 1e-11);
        }
    }

    #[test]
    fn the_posterior_is_bayes_rule(gamma_s in -10.0f64..8.0, step in 1e-3f64..6.0, x in -1.0f64..1.0, z_t in -3.0f64..3.0) {
        let gamma_t = gamma_s + step;
        let (q_s, q_ts) = (kernel(gamma_s), chain(gamma_s, gamma_t));
        // Precision-weighted mean of what z_t says about z_s and what x says about it.
        let (from_z, from_x) = ((q_ts.scale / q_ts.deviation).powi(2), q_s.deviation.powi(-2));
        let variance = 1.0 / (from_z + from_x);
        let mean = variance * (from_z * z_t / q_ts.scale + from_x * q_s.scale * x);
        let p = posterior(gamma_s, gamma_t);
        prop_assert!((p.keep * z_t + p.pull * x - mean).abs() < 1e-9 * (1.0 + mean.abs()));
        prop_assert!((p.deviation.powi(2) / variance - 1.0).abs() < 1e-9);
        for constant in [p.keep, p.pull, p.deviation] {
            prop_assert!(constant > 0.0 && constant < 1.0);
        }
    }

    #[test]
    fn a_step_costs_what_its_divergence_says(gamma_s in -8.0f64..6.0, step in 1e-3f64..4.0, error in -1.0f64..1.0) {
        let gamma_t = gamma_s + step;
        let p = posterior(gamma_s, gamma_t);
        // Two normals of equal variance whose means differ by pull·error.
        let divergence = (p.pull * error / p.deviation).powi(2) / 2.0;
        let cost = step_weight(gamma_s, gamma_t) * error * error;
        prop_assert!((cost - divergence).abs() <= 1e-9 * divergence.max(1e-300));
        prop_assert!((step_weight(gamma_s, gamma_t) - 0.5 * (snr(gamma_s) - snr(gamma_t))).abs() < 1e-9 * snr(gamma_s));
    }

    #[test]
    fn the_prior_term_is_the_textbook_divergence(gamma in -3.0f64..12.0, x in prop::collection::vec(-1.0f64..1.0, 1..20)) {
        let (a, s) = (alpha(gamma), sigma(gamma));
        let textbook: f64 = x.iter().map(|x| 0.5 * (a * a * x * x + s * s - 1.0 - (s * s).ln())).sum();
        let energy: f64 = x.iter().map(|x| x * x).sum();
        let ours = prior_nats(gamma, energy, x.len());
        prop_assert!((ours - textbook).abs() < 1e-9 * (1.0 + textbook), "{ours} {textbook}");
    }

    #[test]
    fn f32_follows_f64(gamma_s in -10.0f64..10.0, step in 1e-2f64..3.0) {
        let gamma_s = f64::from(gamma_s as f32);
        let gamma_t = f64::from((gamma_s + step) as f32);
        let wide = StepConstants::ancestral(Prediction::V, gamma_s, gamma_t).to_array();
        let narrow = StepConstants::ancestral(Prediction::V, gamma_s as f32, gamma_t as f32).to_array();
        for (w, n) in wide.iter().zip(narrow) {
            prop_assert!((w - f64::from(n)).abs() < 3e-6, "{w} {n}");
        }
    }

    #[test]
    fn every_constant_of_v_prediction_fits_q1_14(gamma in gammas()) {
        let schedule = Schedule::new(&gamma).unwrap();
        for t in 0..=schedule.steps() {
            let c = schedule.constants(Prediction::V, t).unwrap();
            let q = c.quantize::<Q3_12>().unwrap();
            for (real, fixed) in c.to_array().iter().zip(q.to_array()) {
                prop_assert!((real - f64::from(fixed) / 16384.0).abs() <= 0.5 / 16384.0 + 1e-12);
            }
        }
    }
}

#[test]
fn extremes_do_not_cancel_or_overflow() {
    assert_eq!(softplus(800.0f64), 800.0);
    assert_eq!(softplus(-800.0f64), 0.0);
    assert!((softplus(-40.0f64) / (-40.0f64).exp() - 1.0).abs() < 1e-12);
    // At γ = −20 the signal's scale is 1 to nine digits, and what is missing from 1 is still right.
    assert!(((1.0 - alpha(-20.0f64)) / (0.5 * (-20.0f64).exp()) - 1.0).abs() < 1e-6);
    // A tiny step keeps a positive deviation.
    assert!(posterior(1.0f32, 1.0001).deviation > 0.0);
    // A nearly perfect prior: naive subtraction gives garbage here.
    let nats = prior_nats(20.0f64, 0.5, 1);
    assert!((nats / (0.5 * (-20.0f64).exp() * 0.5) - 1.0).abs() < 1e-6, "{nats}");
}

#[test]
fn lists_that_are_no_schedule_are_refused() {
    assert_eq!(Schedule::new(&[1.0f32]).unwrap_err(), ScheduleError::TooShort);
    assert_eq!(
        Schedule::new(&[0.0, f64::NAN]).unwrap_err(),
        ScheduleError::NotFinite { index: 1 }
    );
    assert_eq!(
        Schedule::new(&[0.0, 1.0, 1.0]).unwrap_err(),
        ScheduleError::NotIncreasing { index: 2 }
    );
    let schedule = Schedule::new(&[0.0f64, 1.0]).unwrap();
    assert!(schedule.chain(0).is_none() && schedule.posterior(2).is_none() && schedule.kernel(2).is_none());
}

/// Walks the chain by sampling, in both number formats, and compares its moments with the kernel's.
#[test]
fn a_sampled_chain_has_the_kernels_moments() {
    fn walk<N: Number>(rng: &mut impl Rng) -> (f64, f64) {
        let gamma: Vec<f64> = (0..=16).map(|t| -6.0 + 11.0 * f64::from(t) / 16.0).collect();
        let schedule = Schedule::new(&gamma).unwrap();
        let constant = |v| N::constant(v).unwrap();
        let draws = 20_000;
        let (mut sum, mut square) = (0.0, 0.0);
        for _ in 0..draws {
            let mut z = N::from_f32(0.75);
            let q = schedule.kernel(0).unwrap();
            z = N::mix2(constant(q.scale), z, constant(q.deviation), N::normal(rng));
            for t in 1..=10 {
                let q = schedule.chain(t).unwrap();
                z = N::mix2(constant(q.scale), z, constant(q.deviation), N::normal(rng));
            }
            sum += f64::from(z.to_f32());
            square += f64::from(z.to_f32()).powi(2);
        }
        let q = schedule.kernel(10).unwrap();
        let mean = sum / f64::from(draws);
        let deviation = (square / f64::from(draws) - mean * mean).sqrt();
        (mean - 0.75 * q.scale, deviation / q.deviation - 1.0)
    }
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(1);
    for (mean, deviation) in [walk::<f32>(&mut rng), walk::<Q3_12>(&mut rng)] {
        // Four standard errors of 20,000 draws.
        assert!(mean.abs() < 4.0 / 20_000f64.sqrt(), "{mean}");
        assert!(deviation.abs() < 4.0 / 40_000f64.sqrt(), "{deviation}");
    }
}

/// Any share of the noise leaves the marginals what they are: keep·q(z_t | x) + pull·x + spread·n is q(z_s | x).
#[test]
fn every_eta_has_the_kernels_marginals() {
    for (s, t) in [(-6.0f64, -5.5), (-3.0, 2.0), (0.0, 6.0)] {
        for eta in [0.0, 0.3, 0.9, 1.0] {
            let c = StepConstants::with_noise(Prediction::V, s, t, eta);
            let (from, to) = (kernel(t), kernel(s));
            assert!((c.keep * from.scale + c.pull - to.scale).abs() < 1e-12, "{s} {t} {eta}");
            let variance = (c.keep * from.deviation).powi(2) + c.spread * c.spread;
            assert!((variance - to.deviation.powi(2)).abs() < 1e-12, "{s} {t} {eta}");
            assert!(
                [c.keep, c.pull, c.spread].iter().all(|v| (0.0..=1.0).contains(v)),
                "{c:?}"
            );
        }
        let near = StepConstants::with_noise(Prediction::V, s, t, 1.0 - 1e-9);
        let full = StepConstants::with_noise(Prediction::V, s, t, 1.0);
        assert!((near.keep - full.keep).abs() < 1e-6 && (near.pull - full.pull).abs() < 1e-6);
    }
}
