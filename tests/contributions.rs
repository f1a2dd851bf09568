//! Contributions of the dimensions to the ELBO.

use ancestral::contributions::{Contributions, DimensionBuffers, elbo_by_dimension};
use ancestral::decoder::Decoder;
use ancestral::level_draw::LevelDraw;
use ancestral::likelihood::elbo;
use ancestral::model::{AlignedBytes, Model, ModelHead, ModelSpec, StepTable};
use ancestral::read_out::ReadOuts;
use ancestral::schedule::{Prediction, Schedule, alpha, snr, softplus};
use ancestral::storage::Heap;
use ancestral::{Denoiser, F32, Likelihood};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use std::convert::Infallible;
use std::marker::PhantomData;

mod common;

const DIM: usize = 6;

/// Scores a row of a small model both ways; returns the contributions.
fn score(spec: &ModelSpec<F32>) -> Vec<f32> {
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    let model = Model::<F32>::parse(&bytes).unwrap();
    let mut likelihood = Likelihood::with_storage(&model, Heap::for_model(&model)).unwrap();
    let rng = || Xoshiro128PlusPlus::seed_from_u64(5);
    let (mut nats, mut directions) = (vec![0.0; DIM], vec![0.0; DIM]);
    let contributions = Contributions {
        nats: &mut nats,
        directions: &mut directions,
    };
    let (whole, divided) = if spec.head.levels == 0 {
        let row: Vec<f32> = (0..DIM).map(common::value).collect();
        (
            likelihood.elbo_of_values(&row, &mut rng()).unwrap(),
            likelihood
                .elbo_of_values_by_dimension(&row, contributions, &mut rng())
                .unwrap(),
        )
    } else {
        let row = [0, 16, 3, 8, 9, 1];
        (
            likelihood.elbo_of_levels(&row, &mut rng()).unwrap(),
            likelihood
                .elbo_of_levels_by_dimension(&row, contributions, &mut rng())
                .unwrap(),
        )
    };
    assert_eq!(whole, divided);
    let sum: f32 = nats.iter().sum();
    assert!(
        (sum - whole.total()).abs() < 1e-5 * whole.total().abs(),
        "{sum} {whole:?}"
    );
    nats
}

#[test]
fn contributions_add_up_to_the_same_elbo() {
    let plain = common::float_spec(5);
    // Rotated variance, and the network as decoder or not.
    let continuous = common::values(&plain);
    let factorized = ModelSpec {
        head: ModelHead {
            decoder: plain.head.decoder.clone(),
            ..continuous.head.clone()
        },
        layers: plain.layers.clone(),
    };
    let unshaped = ModelSpec {
        head: ModelHead {
            variance: None,
            ..factorized.head.clone()
        },
        layers: plain.layers.clone(),
    };
    for spec in [
        plain.clone(),
        common::odds_decoding(5),
        common::shaped(&plain),
        continuous,
        factorized,
        unshaped,
    ] {
        let nats = score(&spec);
        assert!(nats.windows(2).any(|pair| pair[0] != pair[1]), "{nats:?}");
    }
}

/// A denoiser whose dimensions know nothing of each other.
struct Halved;

impl Denoiser for Halved {
    type Number = f32;

    fn denoise(&mut self, z: &[f32], _: usize, estimate: &mut [f32]) {
        estimate.iter_mut().zip(z).for_each(|(x, z)| *x = 0.5 * z);
    }
}

/// Every `DIM`-th word of a generator.
struct Strided(Xoshiro128PlusPlus);

impl rand_xoshiro::rand_core::TryRng for Strided {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let word = self.0.next_u32();
        (1..DIM).for_each(|_| _ = self.0.next_u32());
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u32()? as u8;
        }
        Ok(())
    }
}

/// A dimension of a separable model contributes the ELBO of that dimension alone, with its own words of the generator.
#[test]
fn a_dimension_by_itself_costs_its_contribution() {
    let gamma = [-4.0f32, -1.0, 2.0, 5.0];
    let wide: Vec<f64> = gamma.iter().map(|&g| f64::from(g)).collect();
    let schedule = Schedule::new(&wide).unwrap();
    let constants: Vec<[f32; 8]> = (0..gamma.len())
        .map(|t| {
            schedule
                .constants(Prediction::X, t)
                .unwrap()
                .map(|c| c as f32)
                .to_array()
        })
        .collect();
    let weight: Vec<f32> = (0..gamma.len()).map(|t| schedule.weight(t).unwrap() as f32).collect();
    let table = StepTable {
        gamma: &gamma,
        constants: &constants,
        weight: &weight,
        times: &[],
        read_outs: ReadOuts::Identity,
        reverse_variance: None,
    };
    let scale: Vec<f32> = (0..DIM).map(|d| 1.0 + d as f32).collect();
    let decoder = |scale| Decoder::<f32> {
        levels: 0,
        network: false,
        center_scale: 1.0 / alpha(wide[0]) as f32,
        snr: snr(wide[0]) as f32,
        last_alpha_squared: alpha(wide[3]).powi(2) as f32,
        last_log_variance: softplus(-wide[3]) as f32,
        mean: &[],
        scale,
        draw: LevelDraw::default(),
        deviations: &[],
        basis: &[],
        nats: 0.0,
        number: PhantomData,
    };
    let x: Vec<f32> = (0..DIM).map(|d| 2.0 * common::value(d)).collect();
    let (mut state, mut estimate) = (x.clone(), x.clone());
    let (mut nats, mut directions) = (vec![0.0; DIM], vec![0.0; DIM]);
    let buffers = DimensionBuffers {
        state: &mut state,
        estimate: &mut estimate,
        contributions: Contributions {
            nats: &mut nats,
            directions: &mut directions,
        },
    };
    let rng = Xoshiro128PlusPlus::seed_from_u64(9);
    elbo_by_dimension(&table, &decoder(&scale), &mut Halved, &x, buffers, &mut rng.clone());
    for d in 0..DIM {
        let mut own = Strided(rng.clone());
        (0..d).for_each(|_| _ = own.0.next_u32());
        let (mut z, mut x_hat) = ([0.0], [0.0]);
        let alone = elbo(
            &table,
            &decoder(&scale[d..=d]),
            &mut Halved,
            &x[d..=d],
            &mut z,
            &mut x_hat,
            &mut own,
        );
        let difference = (alone.total() - nats[d]).abs();
        assert!(difference < 1e-4, "{d}: {alone:?} {}", nats[d]);
    }
}
