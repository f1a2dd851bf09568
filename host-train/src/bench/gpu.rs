//! This program as a contender on a GPU.

use crate::fused::cuda::Gpu;
use crate::fused::device::progress::TrainingProgress;
use crate::fused::device::{Operand, Product, Products, Queue};
use crate::fused::graph::Graph;
use crate::fused::index::Index;
use crate::optimizer::gpu::Updates;
use crate::optimizer::{Optimizer, Update};
use crate::rng::TrainRng;
use anyhow::Result;
use candle_core::{Device, Tensor};
use half::bf16;
use std::time::Instant;

/// Steps that the host does not wait for. Every batch is copied to the same memory, where a captured step finds it.
pub struct GpuSteps {
    updates: Updates,
    graph: Graph,
    z: Tensor,
    target: Tensor,
    index: Index,
    /// The sum of all losses so far.
    sum: f64,
}

impl GpuSteps {
    /// * `inputs`, `targets`: `(batches, n, widths)`;
    /// * `captured`: whether to capture a step as a CUDA graph.
    pub fn new(inputs: &Tensor, targets: &Tensor, update: Update, captured: bool) -> Result<Self> {
        let device = inputs.device();
        let n = inputs.dim(1)?;
        Ok(Self {
            updates: Updates::new(Gpu::new(device)?, TrainingProgress::default(), 1.0, move |_| update)?,
            graph: Graph::new(captured),
            z: inputs.get(0)?.copy()?,
            target: targets.get(0)?.copy()?,
            index: Index::Device(Tensor::zeros(n, candle_core::DType::U32, device)?),
            sum: 0.0,
        })
    }

    /// Launches a step on a batch.
    ///
    /// * `loss`: of inputs and targets; the index gives the row of biases for each row of the batch.
    pub fn step(
        &mut self,
        (inputs, targets): (&Tensor, &Tensor),
        done: u64,
        optimizer: &Optimizer,
        loss: impl Fn(&Tensor, &Tensor, &Index) -> Result<Tensor>,
    ) -> Result<()> {
        self.updates.prepare(done)?;
        self.z.slice_set(inputs, 0, 0)?;
        self.target.slice_set(targets, 0, 0)?;
        let mut graph = std::mem::take(&mut self.graph);
        let launched = graph.run(self.updates.gpu(), || {
            let loss = loss(&self.z, &self.target, &self.index)?;
            self.updates
                .launch(optimizer, &loss.backward()?, [Some(&loss), None, None])
        });
        self.graph = graph;
        launched
    }

    /// Waits, and returns the loss of the last step.
    pub fn loss(&mut self) -> Result<f32> {
        let sum = self.updates.read()?.sums[0];
        let own = sum - self.sum;
        self.sum = sum;
        Ok(own as f32)
    }
}

/// Side of the matrices: large enough to occupy a whole GPU.
const SIDE: usize = 8192;
/// Numbers after which a matrix repeats itself: no divisor of its side, so that its rows differ.
const PERIOD: usize = 1_000_003;

/// Measures floating-point operations per second of products of large matrices, the fastest of `rounds`.
#[allow(unsafe_code)]
pub fn measure_rate(device: &Device, products: Products, rounds: usize) -> Result<f64> {
    let gpu = Gpu::new(device)?;
    let bf16 = products == Products::Bf16;
    let values = random_matrix(bf16);
    let matrix = || -> Result<_> { Ok(gpu.upload(&values)?) };
    let (a, b, c) = (matrix()?, matrix()?, matrix()?);
    let operand = |memory| Operand {
        address: gpu.address(memory),
        stride: SIDE,
        bf16,
    };
    let product = Product {
        a: (operand(&a), true),
        b: (operand(&b), false),
        c: operand(&c),
        m: SIDE,
        n: SIDE,
        k: SIDE,
        add: false,
        products,
    };
    let mut best = f64::INFINITY;
    // The first product prepares cuBLAS and does not count.
    for round in 0..=rounds {
        gpu.wait()?;
        let begin = Instant::now();
        // SAFETY: each of the three is a whole square matrix of this side.
        unsafe { gpu.multiply(&product)? };
        gpu.wait()?;
        if round > 0 {
            best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    Ok(2.0 * (SIDE as f64).powi(3) / best)
}

/// Returns the bytes of a square matrix of normal numbers. A GPU multiplies zeros faster, because they take less power.
fn random_matrix(bf16: bool) -> Vec<u8> {
    let mut rng = TrainRng::new(1);
    let values: Vec<f32> = (0..PERIOD).map(|_| rng.normal()).collect();
    let bytes: Vec<u8> = match bf16 {
        true => values.iter().flat_map(|v| bf16::from_f32(*v).to_ne_bytes()).collect(),
        false => values.iter().flat_map(|v| v.to_ne_bytes()).collect(),
    };
    let mut matrix = bytes.repeat((SIDE * SIDE).div_ceil(PERIOD));
    matrix.truncate(SIDE * SIDE * if bf16 { 2 } else { 4 });
    matrix
}
