//! Speed of the desktop's kernel: `cargo bench --features std --bench desktop`. All times are of one run; only their
//! ratios are meaningful.

use ancestral::kernel::portable::Portable;
use ancestral::kernel::{self, Active, AllCaps, Inputs, Kernel, Matrix};
use ancestral::mlp::forward;
use ancestral::model::AlignedBytes;
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{F32, Format, FormatId, Model, Number, for_each_format};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

const SIZE: usize = 256;

/// Measures `work` in nanoseconds: the best of several rounds.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let (rounds, turns) = (15, 100);
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..turns {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(turns));
    }
    1e9 * best
}

fn layer<K: Kernel>(packed: bool, inputs: Inputs<'_>) -> f64 {
    let stride = ancestral::kernel::row_len(SIZE, packed);
    let weights: Vec<i8> = (0..stride * SIZE).map(|i| (i * 7919 % 251) as i8).collect();
    let matrix = Matrix {
        weights: &weights,
        rows: SIZE,
        columns: SIZE,
        packed,
    };
    nanoseconds(|| {
        kernel::sums::<K, AllCaps>(black_box(&matrix), inputs, &mut [], &mut |_, _, sums| {
            black_box(sums);
        });
    }) / (SIZE * SIZE) as f64
}

fn network<F: Format>() -> Result<f64, Box<dyn Error>> {
    let folder = env!("CARGO_MANIFEST_DIR");
    let path = format!("{folder}/models/digits-t64-{}.vdm", F::ID.name());
    let bytes = AlignedBytes::new(&std::fs::read(path)?);
    let model = Model::<F>::parse(&bytes)?;
    let mut heap = Heap::for_model(&model);
    let Buffers {
        state,
        estimate,
        mut scratch,
        ..
    } = heap.buffers(model.dim());
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
    for z in state.iter_mut() {
        *z = F::Number::normal(&mut rng);
    }
    Ok(nanoseconds(|| {
        forward(&model, 32, black_box(state), &mut scratch, estimate)
    }))
}

/// Identifier, packing and bytes per activation of every format.
macro_rules! rows {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {[$((
        FormatId::$format,
        ancestral::$format::PACKS,
        size_of::<<ancestral::$format as Format>::Activation>(),
    )),*]};
}

/// Identifier and time of the network in every format.
macro_rules! times {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        [$((FormatId::$format, network::<ancestral::$format>()?)),*]
    };
}

fn main() -> Result<(), Box<dyn Error>> {
    let halves: Vec<i16> = (0..SIZE).map(|i| (i * 31 % 4000) as i16).collect();
    let bytes: Vec<i8> = (0..SIZE).map(|i| (i * 31 % 255) as i8).collect();
    println!("Sums of a layer of {SIZE}×{SIZE}, picoseconds a product:\n");
    println!("| format | portable | {} | ratio |\n|---|---:|---:|---:|", kernel::NAME);
    for (id, packed, activation_bytes) in for_each_format!(rows) {
        if !id.is_integer() {
            continue;
        }
        let inputs = match activation_bytes {
            1 => Inputs::Bytes(&bytes),
            _ => Inputs::Halves(&halves),
        };
        let (portable, active) = (layer::<Portable>(packed, inputs), layer::<Active>(packed, inputs));
        let ratio = portable / active;
        println!("| `{id}` | {:.0} | {:.0} | {ratio:.1} |", 1e3 * portable, 1e3 * active);
    }
    let float = network::<F32>()?;
    let times = for_each_format!(times);
    println!("\nThe network of `digits-t64`, as fast as in `f32`:\n");
    println!("| format | speed |\n|---|---:|");
    for (id, time) in times {
        if id != FormatId::F32 {
            println!("| `{id}` | {:.2} |", float / time);
        }
    }
    Ok(())
}
