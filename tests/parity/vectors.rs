//! Results of every number format with a small model, as lines of text: the same on every core. Shared by
//! `tests/parity.rs` and the firmware `firmware-examples/parity`, so there is no allocation and no `std` here.

use ancestral::format::Format;
use ancestral::likelihood::Likelihood;
use ancestral::mlp::forward;
use ancestral::model::StaticModel;
use ancestral::number::Number;
use ancestral::storage::{Buffers, Inline, Storage};
use ancestral::{F32, Sampler, W8A16, for_each_format, include_model};
use core::fmt::{self, Display, Formatter, LowerHex};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

// Log-odds with a reverse variance per direction and the factorized decoder; continuous data with the network as the
// decoder; and v, clipped, with the factorized decoder. The models of all formats predict log-odds and decode.
include_model!(CLIPPED: W8A16 = "../golden/parity-clipped-w8a16.vdm");
include_model!(CLIPPED_FLOAT: F32 = "../golden/parity-clipped-f32.vdm");
include_model!(SHAPED: W8A16 = "../golden/parity-shaped-w8a16.vdm");
include_model!(SHAPED_FLOAT: F32 = "../golden/parity-shaped-f32.vdm");
include_model!(VALUES: W8A16 = "../golden/parity-values-w8a16.vdm");
include_model!(VALUES_FLOAT: F32 = "../golden/parity-values-f32.vdm");

/// States through the bare network, samples, and rows scored.
const STATES: u32 = 20;
const SAMPLES: u32 = 4;
const SEED: u64 = 7;

/// Prints the lines of the plain model in every format.
macro_rules! print_formats {
    ($line:ident; $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {$({
        include_model!(MODEL: ancestral::$format = concat!("../golden/parity-", $name, ".vdm"));
        print_model($name, &MODEL, $line);
    })*};
}

/// Prints every line.
pub fn print(line: &mut impl FnMut(&dyn Display)) {
    normals(line);
    for_each_format!(print_formats, line;);
    print_model("clipped-w8a16", &CLIPPED, line);
    print_model("clipped-f32", &CLIPPED_FLOAT, line);
    print_model("shaped-w8a16", &SHAPED, line);
    print_model("shaped-f32", &SHAPED_FLOAT, line);
    print_model("values-w8a16", &VALUES, line);
    print_model("values-f32", &VALUES_FLOAT, line);
}

/// A line of hexadecimal digits after a few words.
struct Hex<'a, T> {
    words: (&'a str, &'a str, u32),
    values: &'a [T],
    digits: usize,
}

impl<T: LowerHex> Display for Hex<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (format, what, index) = self.words;
        write!(f, "{format} {what} {index} ")?;
        self.values
            .iter()
            .try_for_each(|v| write!(f, "{v:0w$x}", w = self.digits))
    }
}

/// A checksum of many values where printing them all would take too long (FNV-1a).
#[derive(Clone, Copy)]
struct Digest(u64);

impl Digest {
    fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

/// The standard normal in integers and in both number types.
fn normals(line: &mut impl FnMut(&dyn Display)) {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(SEED);
    let mut digest = Digest::new();
    for _ in 0..2000 {
        let word = rng.next_u32();
        digest.bytes(&ancestral::noise::normal_q28(word).to_le_bytes());
    }
    for _ in 0..200 {
        digest.bytes(&f32::normal(&mut rng).to_bits().to_le_bytes());
        digest.bytes(&ancestral::Q3_12::normal(&mut rng).0.to_le_bytes());
    }
    line(&format_args!("normals {:016x}", digest.0));
}

fn print_model<F: Format, const D: usize, const W: usize>(
    name: &str,
    model: &'static StaticModel<F, D, W>,
    line: &mut impl FnMut(&dyn Display),
) {
    network(model, name, line);
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(SEED);
    let mut sampler = Sampler::new(model);
    let mut likelihood = Likelihood::new(model);
    for index in 0..SAMPLES {
        // Every state and estimate of the chain, not only where it ends.
        let mut digest = Digest::new();
        sampler.start(&mut rng);
        while sampler.step(&mut rng).is_some() {
            digest.bytes(bytemuck_bytes(sampler.state()));
            digest.bytes(bytemuck_bytes(sampler.estimate()));
        }
        line(&format_args!("{name} chain {index} {:016x}", digest.0));
        let elbo = if model.model().header().levels == 0 {
            let mut values = [0.0f32; D];
            sampler.values(&mut values);
            line(&Hex {
                words: (name, "sample", index),
                values: &values.map(f32::to_bits),
                digits: 8,
            });
            likelihood.elbo_of_values(&values, &mut rng)
        } else {
            let levels = sampler.levels();
            line(&Hex {
                words: (name, "sample", index),
                values: levels,
                digits: 2,
            });
            likelihood.elbo_of_levels(levels, &mut rng)
        };
        // The ELBO's terms are added up in f32 in every format.
        match elbo {
            Ok(elbo) => line(&Hex {
                words: (name, "elbo", index),
                values: &[elbo.reconstruction, elbo.prior, elbo.diffusion].map(f32::to_bits),
                digits: 8,
            }),
            Err(error) => line(&error),
        }
    }
}

/// The bare network on states up to the ends of the range, where saturation works.
fn network<F: Format, const D: usize, const W: usize>(
    model: &'static StaticModel<F, D, W>,
    name: &str,
    line: &mut impl FnMut(&dyn Display),
) {
    let model = model.model();
    let mut storage = Inline::<F, D, W>::default();
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(SEED + 1);
    let mut digest = Digest::new();
    for index in 0..STATES {
        let Buffers {
            state,
            estimate,
            mut scratch,
            ..
        } = storage.buffers(D);
        for z in state.iter_mut() {
            let normal = F::Number::normal(&mut rng);
            *z = if index % 4 == 3 {
                F::Number::from_f32(8.0 * normal.to_f32())
            } else {
                normal
            };
        }
        let t = 1 + model.steps() - model.calls() + index as usize % model.calls();
        forward(model, t, state, &mut scratch, estimate);
        digest.bytes(bytemuck_bytes(estimate));
    }
    line(&format_args!("{name} network {:016x}", digest.0));
}

/// The bytes of numbers as they lie in memory (little-endian on every core that this crate builds for).
fn bytemuck_bytes<N: Number>(values: &[N]) -> &[u8] {
    ancestral::bytemuck::cast_slice(values)
}
