//! This program as a contender: the requests and their answers.

use super::partner::Request;
use super::rate;
use super::training::BenchTraining;
use crate::train::device;
use anyhow::{Context, Result};
use candle_core::Device;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::time::Instant;

/// Answers the requests of `input` on `output` until there are no more.
///
/// * `cuda`: whether to train on the first NVIDIA GPU.
pub fn serve(input: impl BufRead, mut output: impl Write, cuda: bool) -> Result<()> {
    let mut answer = |value: &Value| -> Result<()> {
        writeln!(output, "{value}")?;
        Ok(output.flush()?)
    };
    let device = match device::select_device(cuda) {
        Ok(device) => device,
        Err(error) => return answer(&json!({"error": format!("{error:#}")})),
    };
    answer(&json!({"name": concat!("host-train ", env!("CARGO_PKG_VERSION"))}))?;
    let mut training = None;
    for line in input.lines() {
        let reply = match serde_json::from_str(&line?).map_err(Into::into) {
            Ok(request) => handle(request, &mut training, &device),
            Err(error) => Err(error),
        };
        answer(&reply.unwrap_or_else(|error| json!({"error": format!("{error:#}")})))?;
    }
    Ok(())
}

fn handle(request: Request, training: &mut Option<BenchTraining>, device: &Device) -> Result<Value> {
    match request {
        Request::Prepare { mode, task, folder } => {
            // First gives back the memory of the one before: a GPU may not hold two.
            *training = None;
            let advice = format!("take a smaller batch than {}", task.batch);
            let prepared = BenchTraining::new(&mode, &task, &folder, device);
            *training = Some(prepared.map_err(|error| device::explain_memory_error(error, &advice))?);
            Ok(json!({}))
        }
        Request::Losses { steps } => {
            let training = training
                .as_mut()
                .context("nothing is prepared: send a `prepare` request first")?;
            let losses: Result<Vec<f32>> = (0..steps).map(|_| training.loss_of_step()).collect();
            Ok(json!({"losses": losses?}))
        }
        Request::Time { steps } => {
            let training = training
                .as_mut()
                .context("nothing is prepared: send a `prepare` request first")?;
            training.wait()?;
            let begin = Instant::now();
            for _ in 0..steps {
                training.step()?;
            }
            training.wait()?;
            Ok(json!({"seconds": begin.elapsed().as_secs_f64()}))
        }
        Request::Rate => {
            let training = training
                .as_ref()
                .context("nothing is prepared: send a `prepare` request first")?;
            Ok(json!({"flops": rate::measure(device, training.products())?}))
        }
    }
}
