//! A training step as one CUDA graph: all its kernels are launched by one call.

use super::cuda::Gpu;
use anyhow::Result;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, sys};

/// Steps that are launched kernel by kernel before one is captured. They reserve the memory and make the small uploads
/// that a captured step must find.
const WARM: u32 = 3;

/// A step that is captured after it has run a few times. The default captures nothing.
#[derive(Default)]
pub struct Graph {
    wanted: bool,
    warm: u32,
    captured: Option<CudaGraph>,
}

impl Graph {
    /// * `wanted`: whether to capture a step.
    pub fn new(wanted: bool) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Runs a step. It must launch the same kernels on the same memory each time: numbers that change must be on the
    /// GPU.
    pub fn run(&mut self, gpu: &Gpu, step: impl Fn() -> Result<()>) -> Result<()> {
        if let Some(graph) = &self.captured {
            return Ok(graph.launch().w()?);
        }
        if !self.wanted {
            return step();
        }
        // candle uploads shapes with its kernels. They are kept from the first steps on, because a capture cannot
        // upload.
        let _uploads = gpu.device().enable_cuda_graph_htod_cache();
        if self.warm < WARM {
            self.warm += 1;
            return step();
        }
        let stream = gpu.stream();
        // Captures this thread's calls alone: other models may be training beside this one.
        stream
            .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .w()?;
        let launched = step();
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let captured = stream.end_capture(flags);
        let why = match (launched, captured) {
            (Ok(()), Ok(Some(graph))) => {
                graph.launch().w()?;
                self.captured = Some(graph);
                return Ok(());
            }
            (Err(error), _) => format!("{error:#}"),
            (_, Err(error)) => error.to_string(),
            (_, Ok(None)) => "nothing was captured".to_owned(),
        };
        eprintln!("a step cannot be captured as a CUDA graph ({why}): its kernels are launched one by one");
        self.wanted = false;
        step()
    }
}
