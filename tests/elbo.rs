//! Both forms of the ELBO, with a denoiser that is known in closed form.

use ancestral::decoder::Decoder;
use ancestral::denoiser::Denoiser;
use ancestral::level_draw::LevelDraw;
use ancestral::likelihood::{ChainBuffers, elbo, elbo_of_chain, step_nats};
use ancestral::model::StepTable;
use ancestral::number::Number;
use ancestral::read_out::ReadOuts;
use ancestral::reverse_variance::ReverseVariance;
use ancestral::schedule::{Prediction, Schedule, alpha, kernel, snr, softplus};
use ancestral::{Q3_12, sampler};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
use std::marker::PhantomData;

/// Data of D independent dimensions, each −0.5 or 0.5 with probabilities 0.3 and 0.7: of 5 levels over [−1, 1], levels
/// 1 and 3.
const DIM: usize = 4;
const LEVELS: u16 = 5;
const HIGH: f64 = 0.7;

/// The posterior mean of that data given z_t: the best denoiser there is.
struct Exact<N> {
    gamma: Vec<f64>,
    number: PhantomData<N>,
}

impl<N: Number> Denoiser for Exact<N> {
    type Number = N;

    fn denoise(&mut self, z: &[N], t: usize, estimate: &mut [N]) {
        let q = kernel(self.gamma[t]);
        for (x, z) in estimate.iter_mut().zip(z) {
            let z = f64::from(z.to_f32());
            let log = |v: f64, p: f64| p.ln() - 0.5 * ((z - q.scale * v) / q.deviation).powi(2);
            let odds = (log(0.5, HIGH) - log(-0.5, 1.0 - HIGH)).exp();
            *x = N::from_f32((0.5 * (odds - 1.0) / (odds + 1.0)) as f32);
            if odds.is_infinite() {
                *x = N::from_f32(0.5);
            }
        }
    }
}

/// Tables made from γ as the exporter makes them.
struct Tables<N: Number> {
    gamma: Vec<f32>,
    constants: Vec<[N::Constant; 8]>,
    weight: Vec<f32>,
    spreads: Vec<N::Constant>,
    basis: Vec<N::Constant>,
    nats: Vec<f32>,
}

/// An orthogonal basis of the four dimensions, and none.
const HADAMARD: [f64; DIM * DIM] = [
    0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.5, -0.5, -0.5, 0.5,
];

impl<N: Number> Tables<N> {
    /// Makes tables with variances `ratio(t, d)` times the posterior's own, in a basis.
    fn shaped(gamma: &[f64], ratio: impl Fn(usize, usize) -> f64, basis: &[f64]) -> Self {
        let schedule = Schedule::new(gamma).unwrap();
        let mut tables = Self::new(gamma);
        for t in 1..gamma.len() {
            let own = schedule.posterior(t).unwrap().deviation;
            let mut nats = 0.0;
            for d in 0..DIM {
                let constant = N::wide_constant(own * ratio(t, d).sqrt()).unwrap();
                let held = (N::constant_value(constant) / own).powi(2);
                nats += 0.5 * (held.ln() + 1.0 / held - 1.0);
                tables.spreads.push(constant);
            }
            tables.nats.push(nats as f32);
        }
        tables.basis = basis.iter().map(|&u| N::wide_constant(u).unwrap()).collect();
        tables
    }

    fn new(gamma: &[f64]) -> Self {
        let schedule = Schedule::new(gamma).unwrap();
        let record = |t| {
            schedule
                .constants(Prediction::X, t)
                .unwrap()
                .quantize::<N>()
                .unwrap()
                .to_array()
        };
        Self {
            gamma: gamma.iter().map(|&g| g as f32).collect(),
            constants: (0..gamma.len()).map(record).collect(),
            weight: (0..gamma.len()).map(|t| schedule.weight(t).unwrap() as f32).collect(),
            spreads: Vec::new(),
            basis: Vec::new(),
            nats: Vec::new(),
        }
    }

    fn view(&self) -> StepTable<'_, N> {
        StepTable {
            gamma: &self.gamma,
            constants: &self.constants,
            weight: &self.weight,
            times: &[],
            read_outs: ReadOuts::Identity,
            reverse_variance: (!self.spreads.is_empty()).then_some(ReverseVariance {
                spreads: &self.spreads,
                basis: &self.basis,
                nats: &self.nats,
            }),
        }
    }
}

fn decoder<N: Number>(gamma: &[f64]) -> Decoder<'static, N> {
    let (first, last) = (gamma[0], gamma[gamma.len() - 1]);
    Decoder {
        levels: LEVELS,
        network: false,
        center_scale: (1.0 / alpha(first)) as f32,
        snr: snr(first) as f32,
        last_alpha_squared: alpha(last).powi(2) as f32,
        last_log_variance: softplus(-last) as f32,
        mean: &[],
        scale: &[],
        draw: LevelDraw::default(),
        deviations: &[],
        basis: &[],
        nats: 0.0,
        number: PhantomData,
    }
}

fn even(steps: usize) -> Vec<f64> {
    (0..=steps).map(|t| -5.0 + 10.0 * t as f64 / steps as f64).collect()
}

/// A row of the data: the probabilities are met exactly over ten dimensions' worth of rows.
fn rows<N: Number>() -> Vec<[N; DIM]> {
    let value = |i: usize| N::from_f32(if i % 10 < 7 { 0.5 } else { -0.5 });
    (0..10).map(|r| std::array::from_fn(|d| value(r * 3 + d * 7))).collect()
}

/// Mean and standard error.
fn statistics(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// Both forms over many draws; the mean and its standard error of each, in nats.
fn both_forms<N: Number>(steps: usize, rounds: usize) -> [(f64, f64); 2] {
    let gamma = even(steps);
    both_forms_of(&Tables::<N>::new(&gamma), gamma, rounds)
}

fn both_forms_of<N: Number>(tables: &Tables<N>, gamma: Vec<f64>, rounds: usize) -> [(f64, f64); 2] {
    let decoder = decoder::<N>(&gamma);
    let mut denoiser = Exact {
        gamma,
        number: PhantomData,
    };
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(3);
    let (mut terms, mut chains) = (Vec::new(), Vec::new());
    let [mut state, mut previous, mut estimate] = [[N::default(); DIM]; 3];
    for _ in 0..rounds {
        // One value per round, so that the spread between rows does not count as noise.
        let (mut by_terms, mut by_chain) = (0.0, 0.0);
        for row in rows::<N>() {
            let e = elbo(
                &tables.view(),
                &decoder,
                &mut denoiser,
                &row,
                &mut state,
                &mut estimate,
                &mut rng,
            );
            by_terms += f64::from(e.total()) / 10.0;
            let buffers = ChainBuffers {
                state: &mut state,
                previous: &mut previous,
                estimate: &mut estimate,
            };
            by_chain += elbo_of_chain(&tables.view(), &decoder, &mut denoiser, &row, buffers, &mut rng) / 10.0;
        }
        terms.push(by_terms);
        chains.push(by_chain);
    }
    [statistics(&terms), statistics(&chains)]
}

fn assert_agree([terms, chain]: [(f64, f64); 2]) {
    let error = (terms.1.powi(2) + chain.1.powi(2)).sqrt();
    assert!(
        (terms.0 - chain.0).abs() < 4.0 * error,
        "three terms {terms:?}, chain {chain:?}"
    );
    // The test must be able to fail: four errors are a small part of the value.
    assert!(4.0 * error < 0.03 * terms.0, "too noisy to tell: {error}");
}

#[test]
fn both_forms_agree_in_f32() {
    assert_agree(both_forms::<f32>(12, 4000));
}

#[test]
fn both_forms_agree_in_fixed_point() {
    assert_agree(both_forms::<Q3_12>(12, 4000));
}

/// Any reverse variance gives a bound, and both forms give the same one.
fn both_forms_agree_with_a_shape<N: Number>() {
    let gamma = even(6);
    let ratio = |t: usize, d: usize| 0.8 + 0.4 * d as f64 + 0.1 * t as f64;
    for basis in [&HADAMARD[..], &[]] {
        let tables = Tables::<N>::shaped(&gamma, ratio, basis);
        assert_agree(both_forms_of(&tables, gamma.clone(), 4000));
    }
}

#[test]
fn both_forms_agree_with_a_variance_per_direction() {
    both_forms_agree_with_a_shape::<f32>();
    both_forms_agree_with_a_shape::<Q3_12>();
}

/// The variance that the error of x̂ asks for makes few steps cheaper, and that is why it is there.
#[test]
fn a_calibrated_variance_costs_less() {
    let gamma = even(4);
    let schedule = Schedule::new(&gamma).unwrap();
    let plain = Tables::<f32>::new(&gamma);
    let mut denoiser = Exact::<f32> {
        gamma: gamma.clone(),
        number: PhantomData,
    };
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(8);
    let [mut state, mut estimate] = [[0.0f32; DIM]; 2];
    let mut step_cost = |t: usize| {
        let mut sum = 0.0;
        for _ in 0..300 {
            for row in rows::<f32>() {
                sum += f64::from(step_nats(
                    &plain.view(),
                    &mut denoiser,
                    t,
                    &row,
                    &mut state,
                    &mut estimate,
                    &mut rng,
                ));
            }
        }
        sum / 3000.0
    };
    // ℓ per dimension, by the posterior's own variance; the dimensions are alike.
    let costs: Vec<f64> = (1..=4).map(&mut step_cost).collect();
    assert!(schedule.steps() == 4 && costs.iter().all(|c| *c > 0.0));
    let ratio = |t: usize, _| 1.0 + 2.0 * costs[t - 1] / DIM as f64;
    let shaped = Tables::<f32>::shaped(&gamma, ratio, &[]);
    let [(before, spread), _] = both_forms_of(&plain, gamma.clone(), 2000);
    let [(after, error), _] = both_forms_of(&shaped, gamma, 2000);
    // The costs were measured too, on as many draws as `before` is the mean of.
    let error = error + 2.0 * spread;
    let expected: f64 = costs
        .iter()
        .map(|c| c - 0.5 * DIM as f64 * (1.0 + 2.0 * c / DIM as f64).ln())
        .sum();
    assert!(expected > 0.3, "{costs:?}");
    assert!(
        (before - after - expected).abs() < 6.0 * error,
        "{before} {after} {expected} {error}"
    );
}

/// The noise of a shaped step has the covariance U diag(v) Uᵀ.
fn shaped_noise<N: Number>() {
    let gamma = even(3);
    let tables = Tables::<N>::shaped(&gamma, |_, d| 0.5 + d as f64, &HADAMARD);
    let own = Schedule::new(&gamma).unwrap().posterior(2).unwrap().deviation;
    let variance = tables.view().reverse_variance.unwrap();
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(2);
    let rounds = 200_000;
    let mut covariance = [[0.0; DIM]; DIM];
    for _ in 0..rounds {
        let [mut z, mut noise] = [[N::default(); DIM]; 2];
        variance.add_noise(2, &mut z, &mut noise, &mut rng);
        let z = z.map(|v| f64::from(v.to_f32()));
        for (i, row) in covariance.iter_mut().enumerate() {
            for (j, c) in row.iter_mut().enumerate() {
                *c += z[i] * z[j] / f64::from(rounds);
            }
        }
    }
    for (i, row) in covariance.iter().enumerate() {
        for (j, found) in row.iter().enumerate() {
            let expected: f64 = (0..DIM)
                .map(|d| HADAMARD[i * DIM + d] * (0.5 + d as f64) * HADAMARD[j * DIM + d])
                .sum::<f64>()
                * own
                * own;
            assert!(
                (found - expected).abs() < 0.02 * own * own,
                "{i} {j}: {found} {expected}"
            );
        }
    }
}

#[test]
fn the_noise_has_the_shape_asked_for() {
    shaped_noise::<f32>();
    shaped_noise::<Q3_12>();
}

#[test]
fn the_elbo_bounds_the_entropy_and_comes_close() {
    let entropy = -(DIM as f64) * (HIGH * HIGH.ln() + (1.0 - HIGH) * (1.0 - HIGH).ln());
    let [(coarse, _), _] = both_forms::<f32>(4, 400);
    let [(fine, error), _] = both_forms::<f32>(256, 60);
    assert!(fine > entropy - 4.0 * error, "{fine} is below the entropy {entropy}");
    // Even with the best denoiser and many steps the decoder's noise at γ_0 = −5 and the prior cost a little.
    assert!(fine < entropy + 0.1, "{fine} is far above the entropy {entropy}");
    assert!(coarse > fine + 0.1, "more steps must help: {coarse} {fine}");
}

#[test]
fn the_diffusion_term_runs_over_every_step_from_1_to_t() {
    let gamma = even(8);
    let tables = Tables::<f32>::new(&gamma);
    let mut denoiser = Exact::<f32> {
        gamma: gamma.clone(),
        number: PhantomData,
    };
    let [mut state, mut estimate] = [[0.0f32; DIM]; 2];
    let row = rows::<f32>()[0];
    // The same generator, walked by hand: reconstruction first, then t = 1, 2, …, T.
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(11);
    let whole = elbo(
        &tables.view(),
        &decoder(&gamma),
        &mut denoiser,
        &row,
        &mut state,
        &mut estimate,
        &mut rng,
    );
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(11);
    sampler::start(&mut state, &mut rng);
    let by_hand: f32 = (1..=8)
        .map(|t| {
            step_nats(
                &tables.view(),
                &mut denoiser,
                t,
                &row,
                &mut state,
                &mut estimate,
                &mut rng,
            )
        })
        .sum();
    assert_eq!(whole.diffusion, by_hand);
    assert!(whole.diffusion > 0.0 && whole.prior > 0.0 && whole.reconstruction > 0.0);
}

/// Ancestral sampling with the exact denoiser draws the data's distribution.
#[test]
fn samples_have_the_datas_frequencies() {
    fn frequency<N: Number>() -> f64 {
        let gamma = even(64);
        let (tables, decoder) = (Tables::<N>::new(&gamma), decoder::<N>(&gamma));
        let mut denoiser = Exact {
            gamma,
            number: PhantomData,
        };
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(5);
        let [mut state, mut estimate, mut noise] = [[N::default(); DIM]; 3];
        let mut levels = [0; DIM];
        let mut count = [0u32; LEVELS as usize];
        for _ in 0..2000 {
            sampler::start(&mut state, &mut rng);
            for t in (1..=64).rev() {
                sampler::reverse_step(
                    &tables.view(),
                    &mut denoiser,
                    t,
                    &mut state,
                    &mut estimate,
                    &mut noise,
                    &mut rng,
                );
            }
            decoder.nearest_levels(&estimate, &mut levels);
            for level in levels {
                count[usize::from(level)] += 1;
            }
        }
        assert!(
            count[0] + count[2] + count[4] < 40,
            "levels that are not in the data: {count:?}"
        );
        f64::from(count[3]) / f64::from(count[1] + count[3])
    }
    for f in [frequency::<f32>(), frequency::<Q3_12>()] {
        assert!((f - HIGH).abs() < 0.02, "{f}");
    }
}
