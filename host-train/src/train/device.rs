//! Device selection and CUDA error messages.
#![allow(unsafe_code)]

use crate::train::config::{Config, Generator};
use anyhow::{Error, Result, anyhow};
use candle_core::Device;

/// Selects the CPU, or the first NVIDIA GPU with its own stream.
///
/// # Errors
/// The message says whether the program, the machine or the GPU lacks something.
pub fn select_device(cuda: bool) -> Result<Device> {
    if cuda { select_gpu() } else { Ok(Device::Cpu) }
}

#[cfg(not(feature = "cuda"))]
fn select_gpu() -> Result<Device> {
    Err(anyhow!(
        "this program was built without CUDA: build it with --features cuda (docs/cuda.md), or leave out --cuda"
    ))
}

#[cfg(feature = "cuda")]
fn select_gpu() -> Result<Device> {
    use crate::fused::cuda::{CAPABILITY, Gpu};
    let none = |error: &dyn std::fmt::Display| {
        let why = driver_error(&error.to_string());
        anyhow!("no usable NVIDIA GPU was found ({why}): leave out --cuda to train on the CPU")
    };
    let device = Device::new_cuda_with_stream(0).map_err(|error| none(&error))?;
    let context = Gpu::new(&device)?;
    let (major, minor) = context
        .stream()
        .context()
        .compute_capability()
        .map_err(|error| none(&error))?;
    if let Some(sentence) = too_new(CAPABILITY, major, minor) {
        return Err(anyhow!(sentence));
    }
    // SAFETY: all work of this device runs on its only stream, so no events are needed to order it. A captured step may
    // not wait for events from before its capture.
    unsafe { device.as_cuda_device()?.disable_event_tracking() };
    Ok(device)
}

/// Returns the CUDA name of an error, or the first line of its message.
#[cfg(any(feature = "cuda", test))]
fn driver_error(said: &str) -> String {
    let name = said.find("CUDA_ERROR_").and_then(|at| said.get(at..));
    let name = name.map(|rest| {
        rest.chars()
            .take_while(|c| c.is_ascii_uppercase() || *c == '_')
            .collect()
    });
    name.unwrap_or_else(|| said.lines().next().unwrap_or_default().to_owned())
}

/// Returns an error message if kernels for one compute capability (`80`) do not run on a GPU of another.
#[cfg(any(feature = "cuda", test))]
fn too_new(built: &str, major: i32, minor: i32) -> Option<String> {
    let own = 10 * major + minor;
    let built: i32 = built.parse().ok()?;
    let remedy = match own {
        _ if own >= built => return None,
        80.. => format!("build it again with CUDA_COMPUTE_CAP={own}"),
        _ => "leave out --cuda to train on the CPU, because the kernels need at least 8.0".to_owned(),
    };
    Some(format!(
        "the GPU has compute capability {major}.{minor}, and this program was built for {}.{}: {remedy}",
        built / 10,
        built % 10
    ))
}

/// Sets the generator that a GPU needs: it draws its own numbers, which only the generator without a state allows.
pub fn require_counter_rng(config: &mut Config, device: &Device) {
    if device.is_cuda() {
        config.train.generator = Generator::Counter;
    }
}

/// Replaces the error of a GPU that has run out of memory by one sentence. Other errors stay as they are.
///
/// * `advice`: what needs less memory.
pub fn explain_memory_error(error: Error, advice: &str) -> Error {
    let said = format!("{error:?}");
    if said.contains("OUT_OF_MEMORY") || said.contains("CUBLAS_STATUS_ALLOC_FAILED") {
        return anyhow!("the GPU has not enough memory left: {advice}");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_too_old_is_named() {
        assert_eq!(too_new("80", 8, 0), None);
        assert_eq!(too_new("80", 12, 0), None);
        let sentence = too_new("90", 8, 6).unwrap();
        assert!(sentence.contains("8.6") && sentence.contains("9.0") && sentence.contains("CUDA_COMPUTE_CAP=86"));
        assert!(too_new("80", 7, 5).unwrap().contains("at least 8.0"));
    }

    #[test]
    fn a_drivers_error_is_named() {
        assert_eq!(
            driver_error("DriverError(CUDA_ERROR_NO_DEVICE, \"no device\")"),
            "CUDA_ERROR_NO_DEVICE"
        );
        assert_eq!(driver_error("there is\nnothing"), "there is");
    }

    #[test]
    fn memory_that_runs_out_is_one_sentence() {
        let error = anyhow!("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")").context("in a step");
        let sentence = format!("{:#}", explain_memory_error(error, "take a smaller train.batch"));
        assert_eq!(
            sentence,
            "the GPU has not enough memory left: take a smaller train.batch"
        );
        let other = explain_memory_error(anyhow!("the loss is not finite"), "");
        assert_eq!(other.to_string(), "the loss is not finite");
    }
}
