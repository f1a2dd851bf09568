//! The end of a step: clipping, AdamW, the moving average and the check for finite numbers.

use crate::emulator::{Emulator, Memory};
use crate::support::{close, normals};
use candle_core::{Device, Tensor, Var};
use host_train::fused::adamw::{Adam, StepFactors};
use host_train::fused::device::progress::TrainingProgress;
use host_train::fused::device::update::{ParameterSpans, ParameterUpdate};
use host_train::model::parameter::Parameter;
use host_train::optimizer::{Optimizer, Update};
use host_train::rng::TrainRng;

const SETTINGS: Update = Update {
    rate: 0.01,
    decay: 0.1,
    clip_norm: 3.0,
    ema: 0.9,
    adam: Adam {
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-8,
    },
};

/// Number of parameters: more than one launch takes.
const PARAMETERS: usize = 60;
/// The parameter that has no gradient.
const WITHOUT: usize = 7;
/// Steps that the plan has.
const PLANNED: u64 = 30;
/// Factor from the terms of the loss to their sums.
const UNIT: f64 = 0.5;

fn decays(parameter: usize) -> bool {
    parameter.is_multiple_of(2)
}

fn rate_scale(parameter: usize) -> f64 {
    1.0 + (parameter % 3) as f64
}

/// The parameters, and an optimizer for them on the CPU.
fn on_cpu(rng: &mut TrainRng) -> (Vec<Var>, Optimizer) {
    let var = |i: usize| {
        let n = 1 + (i * 37) % 50;
        Var::from_vec(normals(n, rng), n, &Device::Cpu).unwrap()
    };
    let vars: Vec<Var> = (0..PARAMETERS).map(var).collect();
    let slot = |(i, var): (usize, &Var)| {
        let parameter = Parameter {
            name: format!("p{i}"),
            var: var.clone(),
            decays: decays(i),
        };
        (parameter, rate_scale(i))
    };
    let optimizer = Optimizer::new(vars.iter().enumerate().map(slot).collect()).unwrap();
    (vars, optimizer)
}

fn values(var: &Var) -> Vec<f32> {
    var.to_vec1().unwrap()
}

/// The same parameters in the memory of the emulator.
struct Emulated {
    sizes: Vec<usize>,
    state: Memory,
    values: Vec<Memory>,
    progress: Memory,
    plan: Memory,
    /// A term of the loss, which is 1.
    term: Memory,
}

impl Emulated {
    fn new(vars: &[Var]) -> Self {
        let begin = vars.iter().flat_map(|var| {
            let v = values(var);
            let zero = vec![0.0; v.len()];
            [v.clone(), zero.clone(), zero, v].concat()
        });
        let plan: Vec<u64> = (1..=PLANNED).flat_map(|step| SETTINGS.factors(step).words()).collect();
        assert_eq!(plan.len(), PLANNED as usize * size_of::<StepFactors>() / 8);
        Self {
            sizes: vars.iter().map(|var| var.elem_count()).collect(),
            state: Memory::from_values(&begin.collect::<Vec<f32>>()),
            values: vars.iter().map(|v| Memory::from_values(&values(v))).collect(),
            progress: Memory::from_values(&TrainingProgress::default().words()),
            plan: Memory::from_values(&plan),
            term: Memory::from_values(&[1.0f32]),
        }
    }

    fn state_len(&self) -> usize {
        4 * self.sizes.iter().sum::<usize>()
    }

    fn state(&self) -> Vec<f32> {
        self.state.read(self.state_len())
    }

    fn words(&self) -> [u64; 9] {
        self.progress.read::<u64>(9).try_into().unwrap()
    }

    fn update(&self, emulator: &Emulator, gradients: &[Vec<f32>]) -> TrainingProgress {
        let gradients: Vec<Memory> = gradients.iter().map(|g| Memory::from_values(g)).collect();
        let parameters = (0..PARAMETERS).map(|i| ParameterSpans {
            gradient: (i != WITHOUT).then(|| gradients[i].span(self.sizes[i])),
            value: self.values[i].span(self.sizes[i]),
            rate_scale: rate_scale(i),
            decay: if decays(i) { SETTINGS.decay } else { 0.0 },
        });
        let update = ParameterUpdate {
            parameters: parameters.collect(),
            state: self.state.span(self.state_len()),
            progress: self.progress.span(9),
            plan: self.plan.span(4 * PLANNED as usize),
            terms: [Some(self.term.span(1)), None, Some(self.term.span(1))],
            unit: UNIT,
            clip: SETTINGS.clip_norm,
            adam: SETTINGS.adam,
        };
        update.run(emulator).unwrap();
        TrainingProgress::from_words(self.words())
    }
}

/// Updates the parameters on the CPU; returns the gradient's norm.
fn update_on_cpu(optimizer: &mut Optimizer, vars: &[Var], gradients: &[Vec<f32>]) -> f64 {
    let pairs = vars.iter().zip(gradients).enumerate().filter(|(i, _)| *i != WITHOUT);
    let loss = pairs
        .map(|(_, (var, g))| {
            let g = Tensor::from_slice(g, g.len(), &Device::Cpu).unwrap();
            (var.as_tensor() * g).unwrap().sum_all().unwrap()
        })
        .reduce(|a, b| (a + b).unwrap())
        .unwrap();
    optimizer.update(&loss.backward().unwrap(), SETTINGS).unwrap()
}

fn check_progress(found: TrainingProgress, step: u64, norm: f64, words: [u64; 9]) {
    assert_eq!((found.step, found.bad, found.count), (step, 0, step));
    assert!((found.norm - norm).abs() < 1e-5 * norm);
    assert!((found.scale - (SETTINGS.clip_norm / norm).min(1.0)).abs() < 1e-5);
    let sum = UNIT * step as f64;
    assert_eq!(found.sums, [sum, 0.0, sum]);
    let sums = &words[TrainingProgress::SUMS..TrainingProgress::SUMS + 3];
    assert_eq!(sums, found.sums.map(f64::to_bits));
    assert_eq!(
        (words[TrainingProgress::COUNT], words[TrainingProgress::PLANNED]),
        (found.count, found.planned)
    );
}

/// Twenty updates, and then one that is not finite, from which on nothing changes.
#[test]
fn updates_are_those_of_the_cpu() {
    let Some(emulator) = Emulator::get("updates_are_those_of_the_cpu") else {
        return;
    };
    let mut rng = TrainRng::new(5);
    let (vars, mut cpu) = on_cpu(&mut rng);
    let emulated = Emulated::new(&vars);
    for step in 1..=20u64 {
        let gradients: Vec<Vec<f32>> = emulated.sizes.iter().map(|&n| normals(n, &mut rng)).collect();
        let norm = update_on_cpu(&mut cpu, &vars, &gradients);
        let found = emulated.update(emulator, &gradients);
        check_progress(found, step, norm, emulated.words());
    }
    let expected: Vec<f32> = cpu
        .slots
        .iter()
        .flat_map(|s| s.state.flatten_all().unwrap().to_vec1().unwrap())
        .collect();
    let before = emulated.state();
    close(&before, &expected, 1e-5, "state");
    for (value, var) in emulated.values.iter().zip(&vars) {
        close(&value.read(var.elem_count()), &values(var), 1e-5, "value");
    }

    let mut gradients: Vec<Vec<f32>> = emulated.sizes.iter().map(|&n| vec![0.1; n]).collect();
    gradients[3][0] = f32::NAN;
    let update = |gradients: &[Vec<f32>]| emulated.update(emulator, gradients);
    assert_eq!((update(&gradients).step, update(&gradients).bad), (20, 21));
    gradients[3][0] = 0.1;
    assert_eq!((update(&gradients).step, update(&gradients).bad), (20, 21));
    assert_eq!(before, emulated.state());
}
