//! Instructions of a layer of each format and shape, of one sample and of four; and of a network of the shape of MLPerf
//! Tiny's anomaly detection.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ancestral::fixed::{NarrowRequant, WideRequant};
use ancestral::format::{A8, Format, Input};
use ancestral::mlp::hidden;
use ancestral::model::Layer;
use ancestral::{Q3_12, for_each_format, kernel};
use bench::Timer;
use core::hint::black_box;
use semihosting::{println, process::ExitCode};

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

/// Rows and columns.
const SHAPES: [(usize, usize); 3] = [(64, 128), (128, 128), (256, 256)];
/// Rows and columns of MLPerf Tiny's network.
const TINY: [(usize, usize); 10] = [
    (128, 640),
    (128, 128),
    (128, 128),
    (128, 128),
    (8, 128),
    (128, 8),
    (128, 128),
    (128, 128),
    (128, 128),
    (640, 128),
];
/// The widest of them.
const WIDEST: usize = 640;

/// Weights: nothing here depends on what they are, but a compiler must not know that.
#[repr(C, align(8))]
struct Weights([i8; WIDEST * 128]);
static WEIGHTS: Weights = Weights(random());
static BIASES: [i16; WIDEST] = [7; WIDEST];
static WIDE: [WideRequant; WIDEST] = [WideRequant {
    multiplier: 0x4321_0000,
    shift: 40,
}; WIDEST];
static NARROW: [NarrowRequant; WIDEST] = [NarrowRequant {
    offset: 1234,
    multiplier: 0x4321,
    before: 4,
    after: 20,
}; WIDEST];

const fn random<const N: usize>() -> [i8; N] {
    let mut out = [0; N];
    let mut state = 1u32;
    let mut index = 0;
    while index < N {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out[index] = (state >> 24) as i8;
        index += 1;
    }
    out
}

/// Buffers of the largest call: 4 · 256 or 640 values.
#[repr(C, align(8))]
struct Buffer<T>([T; 1024]);

/// Requantizations that the layers share, by their type.
trait Table: Sized + 'static {
    const TABLE: &'static [Self];
}

impl Table for WideRequant {
    const TABLE: &'static [Self] = &WIDE;
}

impl Table for NarrowRequant {
    const TABLE: &'static [Self] = &NARROW;
}

/// Activations made of a byte.
trait FromByte {
    fn from_byte(byte: i8) -> Self;
}

impl FromByte for Q3_12 {
    fn from_byte(byte: i8) -> Self {
        Self(i16::from(byte) * 16)
    }
}

impl FromByte for A8 {
    fn from_byte(byte: i8) -> Self {
        Self(byte)
    }
}

fn layer<F: Format<Weight = i8, Bias = i16>>(
    (rows, columns): (usize, usize),
    requant: &'static [F::Requant],
    packed: bool,
) -> Option<Layer<'static, F>> {
    let len = ancestral::kernel::row_len(columns, packed) * rows;
    Some(Layer::new(
        (rows, columns),
        packed,
        WEIGHTS.0.get(..len)?,
        requant.get(..rows)?,
        BIASES.get(..rows)?,
    ))
}

fn format<F>(timer: &mut Timer) -> Option<()>
where
    F: Format<Weight = i8, Bias = i16, Requant: Table, Activation: FromByte>,
{
    let (packed, requant) = (F::PACKS, F::Requant::TABLE);
    let mut input = Buffer([F::Activation::default(); 1024]);
    for (slot, &byte) in input.0.iter_mut().zip(&WEIGHTS.0) {
        *slot = F::Activation::from_byte(byte);
    }
    let mut output = Buffer([F::Activation::default(); 1024]);
    let mut work = [0u32; 512];
    for shape in SHAPES {
        let layer = layer::<F>(shape, requant, packed)?;
        for batch in [1, 4] {
            let (from, to) = (input.0.get(..batch * shape.1)?, output.0.get_mut(..batch * shape.0)?);
            let ticks = timer.ticks(|| {
                if batch == 1 {
                    hidden::<F, false>(black_box(&layer), 1, Input::Hidden(from), &mut work, to);
                } else {
                    hidden::<F, true>(black_box(&layer), 1, Input::Hidden(from), &mut work, to);
                }
            });
            black_box(to);
            println!("{} {}x{} {batch} {ticks}", F::ID.name(), shape.0, shape.1);
        }
    }
    let mut total = 0;
    for shape in TINY {
        let layer = layer::<F>(shape, requant, packed)?;
        let (from, to) = (input.0.get(..shape.1)?, output.0.get_mut(..shape.0)?);
        total += timer.ticks(|| hidden::<F, false>(black_box(&layer), 1, Input::Hidden(from), &mut work, to));
        black_box(to);
    }
    println!("{} tiny 1 {total}", F::ID.name());
    Some(())
}

/// Runs the layers of every integer format.
macro_rules! integer_formats {
    ($timer:ident; $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        $(integer_formats!(@$kind $format $timer);)*
    };
    (@float $format:ident $timer:ident) => {};
    (@integer $format:ident $timer:ident) => {
        format::<ancestral::$format>(&mut $timer)?;
    };
}

fn all() -> Option<()> {
    let mut timer = Timer::start()?;
    println!("kernel {}", kernel::NAME);
    println!("scale {}", timer.scale());
    for_each_format!(integer_formats, timer;);
    Some(())
}

#[entry]
fn main() -> ! {
    match all() {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
    .exit_process()
}
