//! Exact ELBO of held-out data through an exported model, in the core's own arithmetic.

use crate::data::{Dataset, mixture};
use crate::progress::Progress;
use crate::runtime::model_file::{AnyModel, ModelFile};
use crate::runtime::units::bits_per_draw;
use crate::with_model;
use ancestral::contributions::Contributions;
use ancestral::likelihood::elbo;
use ancestral::mlp::{decode_argument, estimate_data, forward};
use ancestral::number::Number as _;
use ancestral::storage::{Buffers, Heap, Scratch, Storage as _};
use ancestral::{Denoiser, F32, Format, Likelihood, Model, Q3_12};
use anyhow::{Result, bail, ensure};
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;
use rayon::prelude::*;
use serde::Serialize;

/// Largest prior term, in nats per dimension, with which a chain still ends in the normal that sampling starts from.
pub const PRIOR_LIMIT_NATS: f64 = 0.01;

/// Score of a model file, as `host-train evaluate --json` prints it.
///
/// The terms are in bits per dimension. For continuous data they are those of its density in the file's units.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Name of the model file.
    pub file: String,
    /// Number format.
    pub format: String,
    /// Number of steps T.
    pub steps: usize,
    /// Number of calls of the network for a sample or for one draw of the ELBO: T, and one more with the network
    /// decoder.
    pub calls: usize,
    /// Number of rows scored.
    pub rows: usize,
    /// Noise draws per row and step.
    pub draws: u32,
    /// Seed of the noise.
    pub seed: u64,
    /// Negative ELBO: an upper bound on the cost of a row, divided by its dimensions.
    pub bits_per_dim: f64,
    /// Standard error of `bits_per_dim` over the rows.
    pub standard_error: f64,
    /// Reconstruction term, from `−ln p(x | z_0)`.
    pub reconstruction: f64,
    /// Prior term, from `D_KL(q(z_T | x) ‖ N(0, I))`.
    pub prior: f64,
    /// Diffusion term, from the T steps.
    pub diffusion: f64,
    /// The prior term in nats per dimension, to be compared with 0.01.
    pub prior_nats_per_dim: f64,
    /// Score of the distribution itself, if the data was drawn from a known one.
    pub truth: Option<Truth>,
    /// Length of the file in bytes.
    pub file_bytes: usize,
    /// `bits_per_dim` of each row.
    #[serde(skip)]
    pub per_row: Vec<f64>,
}

/// Cost of the rows under the distribution itself, which no model can beat.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Truth {
    /// Entropy of the distribution, in bits per dimension.
    pub entropy: f64,
    /// `−log₂ p` of the scored rows under the distribution, in bits per dimension. Its expectation is the entropy.
    pub bits_per_dim: f64,
    /// Cost of the model beyond that, in nats per row: the gap to the entropy without the scatter of the rows.
    pub gap_nats: f64,
}

impl Evaluation {
    /// Score of a model that draws samples but has no ELBO: the missing numbers are NaN.
    pub fn without_elbo(file: &ModelFile) -> Self {
        let header = file.header();
        Self {
            file: file.name.clone(),
            format: header.format.name().to_owned(),
            steps: usize::from(header.steps),
            calls: header.calls(),
            rows: 0,
            draws: 0,
            seed: 0,
            bits_per_dim: f64::NAN,
            standard_error: f64::NAN,
            reconstruction: f64::NAN,
            prior: f64::NAN,
            diffusion: f64::NAN,
            prior_nats_per_dim: f64::NAN,
            truth: None,
            file_bytes: file.len(),
            per_row: Vec::new(),
        }
    }
}

/// Noise of the rows' scores, and what is kept of them.
#[derive(Clone, Copy)]
struct Scoring {
    draws: u32,
    seed: u64,
    /// Keep the contribution of each dimension.
    divided: bool,
}

/// Negative ELBO of a row in nats, averaged over the draws.
#[derive(Clone, Debug, PartialEq)]
pub struct RowScore {
    /// Reconstruction, prior and diffusion.
    pub terms: [f64; 3],
    /// Contribution of each dimension to their sum; empty if it was not asked for.
    pub dimensions: Vec<f64>,
}

/// Scores every row of `data` as [`evaluate`] does, and returns the score of each with the contributions of its
/// dimensions.
///
/// # Errors
///
/// As for [`evaluate`].
pub fn evaluate_rows(
    file: &ModelFile,
    data: &Dataset,
    (draws, seed): (u32, u64),
    progress: &Progress,
) -> Result<(Evaluation, Vec<RowScore>)> {
    let scoring = Scoring {
        draws,
        seed,
        divided: true,
    };
    score_file(file, data, scoring, progress)
}

/// Scores every row of `data`, summing over every step.
///
/// * `draws`: number of times that each row is scored, with fresh noise;
/// * `seed`: row r, draw k uses the generator seeded with `seed·2³² + r·draws + k`. So the result does not depend on
///   the number of threads, and two formats see the same noise;
/// * `progress`: advances by one for each row.
///
/// # Errors
///
/// If the rows have other dimensions or levels than the model, or the model draws samples only.
pub fn evaluate(file: &ModelFile, data: &Dataset, draws: u32, seed: u64, progress: &Progress) -> Result<Evaluation> {
    let scoring = Scoring {
        draws,
        seed,
        divided: false,
    };
    Ok(score_file(file, data, scoring, progress)?.0)
}

fn score_file(
    file: &ModelFile,
    data: &Dataset,
    scoring: Scoring,
    progress: &Progress,
) -> Result<(Evaluation, Vec<RowScore>)> {
    let header = *file.header();
    ensure!(
        data.dim == usize::from(header.dim),
        "{} has {} dimensions, but the rows of {} have {}",
        file.name,
        header.dim,
        data.name,
        data.dim
    );
    let levels = data.levels().unwrap_or(0);
    ensure!(
        levels == header.levels,
        "{} was made for data of {}, but {} has {}",
        file.name,
        kind_name(header.levels),
        data.name,
        kind_name(levels)
    );
    ensure!(scoring.draws >= 1, "--draws 0 scores nothing: give at least 1");
    progress.begin(&format!("scoring {}", file.name), data.len() as u64);
    let mut scores = with_model!(file.parse()?, model => score(&model, data, scoring, progress))?;
    let sums: Vec<[f64; 3]> = scores.iter().map(|row| row.terms).collect();
    let summary = summarize(file, data, scoring.draws, scoring.seed, &sums);
    let draws = f64::from(scoring.draws);
    for row in &mut scores {
        row.terms
            .iter_mut()
            .chain(&mut row.dimensions)
            .for_each(|nats| *nats /= draws);
    }
    Ok((summary, scores))
}

/// Averages the rows of [`score`].
fn summarize(file: &ModelFile, data: &Dataset, draws: u32, seed: u64, scores: &[[f64; 3]]) -> Evaluation {
    let header = *file.header();
    let per_row = bits_per_draw(draws, data.dim);
    let count = scores.len() as f64;
    let mean = |term: fn(&[f64; 3]) -> f64| scores.iter().map(term).sum::<f64>() * per_row / count;
    let total = |s: &[f64; 3]| s.iter().sum::<f64>() * per_row;
    let bits_per_dim = scores.iter().map(total).sum::<f64>() / count;
    let square = scores.iter().map(|s| (total(s) - bits_per_dim).powi(2)).sum::<f64>();
    let prior = mean(|s| s[1]);
    Evaluation {
        file: file.name.clone(),
        format: header.format.name().to_owned(),
        steps: usize::from(header.steps),
        calls: header.calls(),
        rows: data.len(),
        draws,
        seed,
        bits_per_dim,
        standard_error: (square / (count * (count - 1.0).max(1.0))).sqrt(),
        reconstruction: mean(|s| s[0]),
        prior,
        diffusion: mean(|s| s[2]),
        prior_nats_per_dim: prior * std::f64::consts::LN_2,
        truth: mixture::find(&data.name).map(|truth| {
            let nats = |bits: f64| bits * data.dim as f64 * std::f64::consts::LN_2;
            let unit = 1.0 / nats(1.0);
            let logs = (0..data.len()).map(|row| truth.log_density(&data.kind.to_raw(data.row(row))));
            let own = -logs.sum::<f64>() / count;
            Truth {
                entropy: truth.entropy() * unit,
                bits_per_dim: own * unit,
                gap_nats: nats(bits_per_dim) - own,
            }
        }),
        file_bytes: file.len(),
        per_row: scores.iter().map(total).collect(),
    }
}

fn kind_name(levels: u16) -> String {
    if levels == 0 {
        "continuous values".to_owned()
    } else {
        format!("{levels} levels")
    }
}

/// Scores of each row in nats, summed over the draws.
fn score<F: Format>(
    model: &Model<'_, F>,
    data: &Dataset,
    Scoring { draws, seed, divided }: Scoring,
    progress: &Progress,
) -> Result<Vec<RowScore>> {
    let width = if divided { data.dim } else { 0 };
    (0..data.len())
        .into_par_iter()
        .map_init(
            || {
                let likelihood = Likelihood::with_storage(model, Heap::for_model(model));
                (likelihood, vec![0.0; width], vec![0.0; width])
            },
            |(likelihood, nats, directions), row| {
                let likelihood = likelihood.as_mut().map_err(|error| *error)?;
                let mut sums = RowScore {
                    terms: [0.0; 3],
                    dimensions: vec![0.0; width],
                };
                for draw in 0..u64::from(draws) {
                    let mut rng = noise(seed, row as u64 * u64::from(draws) + draw);
                    let to = Contributions { nats, directions };
                    let elbo = match (data.row_bytes(row), divided) {
                        (Some(row), false) => likelihood.elbo_of_levels(&row, &mut rng)?,
                        (Some(row), true) => likelihood.elbo_of_levels_by_dimension(&row, to, &mut rng)?,
                        (None, false) => likelihood.elbo_of_values(&data.kind.to_raw(data.row(row)), &mut rng)?,
                        (None, true) => {
                            likelihood.elbo_of_values_by_dimension(&data.kind.to_raw(data.row(row)), to, &mut rng)?
                        }
                    };
                    let terms = [elbo.reconstruction, elbo.prior, elbo.diffusion];
                    let found = terms.iter().chain(nats.iter());
                    for (sum, &nats) in sums.terms.iter_mut().chain(&mut sums.dimensions).zip(found) {
                        *sum += f64::from(nats);
                    }
                }
                progress.advance(1);
                Ok(sums)
            },
        )
        .collect()
}

/// Generator of one draw of the noise for one row.
fn noise(seed: u64, index: u64) -> Xoshiro128PlusPlus {
    Xoshiro128PlusPlus::seed_from_u64(seed.rotate_left(32) ^ index)
}

/// Scores every row with the network in `f32` and everything around it (state, noise, step constants) in Q3.12.
///
/// The difference to the float model is what the integer formats lose before their networks lose anything.
///
/// * `float`: the model in `f32`;
/// * `integer`: the same model in an integer format, for its step table.
pub fn evaluate_state(
    float: &ModelFile,
    integer: &ModelFile,
    data: &Dataset,
    (draws, seed): (u32, u64),
    progress: &Progress,
) -> Result<Evaluation> {
    let (AnyModel::F32(network), true) = (float.parse()?, float.gamma()? == integer.gamma()?) else {
        bail!(
            "{} and {} are not the same model in two formats: export both from one checkpoint",
            float.name,
            integer.name
        )
    };
    progress.begin("scoring the float network behind a state in Q3.12", data.len() as u64);
    macro_rules! score_integers {
        ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
            match integer.parse()? {
                $(AnyModel::$format(model) => score_integers!(@$kind model),)*
            }
        };
        (@integer $model:ident) => { score_state(&network, &$model, data, (draws, seed), progress) };
        (@float $model:ident) => {{
            let _ = $model;
            bail!("{} has no integers: name a model in an integer format", integer.name)
        }};
    }
    let scores = ancestral::for_each_format!(score_integers);
    let mut score = summarize(float, data, draws, seed, &scores);
    score.format = "f32 in q3.12".to_owned();
    Ok(score)
}

/// A float network behind a state in Q3.12.
struct RoundedState<'m, 's, F> {
    network: &'s Model<'m, F32>,
    scratch: Scratch<'s, F32>,
    z: Vec<f32>,
    output: Vec<f32>,
    /// The model in an integer format, of which only the tables matter.
    model: &'s Model<'m, F>,
}

impl<F: Format<Number = Q3_12>> RoundedState<'_, '_, F> {
    /// Computes the network's output at step `t`, rounded.
    fn output(&mut self, z: &[Q3_12], t: usize, output: &mut [Q3_12]) {
        for (to, from) in self.z.iter_mut().zip(z) {
            *to = from.to_f32();
        }
        forward(self.network, t, &self.z, &mut self.scratch, &mut self.output);
        for (to, &from) in output.iter_mut().zip(&self.output) {
            *to = Q3_12::from_f32(from);
        }
    }
}

impl<F: Format<Number = Q3_12>> Denoiser for RoundedState<'_, '_, F> {
    type Number = Q3_12;

    fn denoise(&mut self, z: &[Q3_12], t: usize, estimate: &mut [Q3_12]) {
        self.output(z, t, estimate);
        if let Some(constants) = self.model.constants(t) {
            estimate_data(&constants, self.model.read_outs().get(t), z, estimate);
        }
    }

    fn decode(&mut self, z: &[Q3_12], argument: &mut [Q3_12]) {
        if !self.model.header().network_decoder {
            argument.copy_from_slice(z);
            return;
        }
        self.output(z, 0, argument);
        decode_argument(self.model, z, argument);
    }
}

fn score_state<F: Format<Number = Q3_12>>(
    network: &Model<'_, F32>,
    model: &Model<'_, F>,
    data: &Dataset,
    (draws, seed): (u32, u64),
    progress: &Progress,
) -> Vec<[f64; 3]> {
    let (table, decoder) = (model.step_table(), model.decoder());
    (0..data.len())
        .into_par_iter()
        .map(|row| {
            let mut heap = Heap::for_model(network);
            let Buffers { scratch, .. } = heap.buffers(data.dim);
            let mut denoiser = RoundedState {
                network,
                scratch,
                z: vec![0.0; data.dim],
                output: vec![0.0; data.dim],
                model,
            };
            let x: Vec<Q3_12> = data.row(row).iter().map(|&v| Q3_12::from_f32(v)).collect();
            let (mut state, mut estimate) = (x.clone(), x.clone());
            let mut sums = [0.0; 3];
            for draw in 0..u64::from(draws) {
                let mut rng = noise(seed, row as u64 * u64::from(draws) + draw);
                let e = elbo(&table, &decoder, &mut denoiser, &x, &mut state, &mut estimate, &mut rng);
                for (sum, term) in sums.iter_mut().zip([e.reconstruction, e.prior, e.diffusion]) {
                    *sum += f64::from(term);
                }
            }
            progress.advance(1);
            sums
        })
        .collect()
}
