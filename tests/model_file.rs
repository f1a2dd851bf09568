//! The model file: what is read back, and what is refused.
#![cfg(feature = "alloc")]

mod common;

use ancestral::fixed::WideRequant;
use ancestral::kernel::portable::pack_rows;
use ancestral::likelihood::RowError;
use ancestral::model::{AlignedBytes, Header, ModelHead, ModelSpec, SpecError, layout};
use ancestral::schedule::ScheduleError;
use ancestral::storage::{Heap, Inline};
use ancestral::{F32, Format, FormatId, Likelihood, Model, ModelError, Sampler, W4A8, W8A8, W8A16, for_each_format};
use common::{FromFloat, byte_spec, decoding, float_spec, integer_spec, odds, odds_decoding, values};
use proptest::prelude::*;
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

fn parse<F: Format>(bytes: &[u8]) -> Result<(), ModelError> {
    Model::<F>::parse(&AlignedBytes::new(bytes)).map(|_| ())
}

/// Puts the right checksum at the end, as an attacker or a buggy writer would.
fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - layout::CRC_LEN;
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn what_is_written_is_read_back() {
    let spec = integer_spec(&odds_decoding(5));
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    let model = Model::<W8A16>::parse(&bytes).unwrap();
    assert_eq!(
        (model.dim(), model.steps(), model.width(), model.file_len()),
        (6, 5, 11, bytes.len())
    );
    assert_eq!((model.calls(), model.header().network_decoder), (6, true));
    assert_eq!(model.header().levels, 17);
    assert_eq!(model.note(), "a test");
    assert_eq!(model.step_table().gamma, spec.head.gamma);
    assert_eq!(model.layers().len(), spec.layers.len());
    for (read, written) in model.layers().zip(&spec.layers) {
        assert_eq!((read.rows, read.columns), (written.rows, written.columns));
        assert_eq!((read.relu, read.residual), (written.relu, written.residual));
        assert_eq!(read.weights, written.weights);
        assert_eq!(read.requant, written.requant);
        for t in 0..=5 {
            let row = t * written.rows;
            assert_eq!(read.bias(t), &written.biases[row..row + written.rows]);
        }
    }
}

#[test]
fn a_flash_partition_may_be_longer_than_the_model() {
    let mut bytes = float_spec(3).to_bytes().unwrap();
    bytes.extend_from_slice(&[0xFF; 1000]);
    parse::<F32>(&bytes).unwrap();
}

#[test]
fn truncation_at_every_length_is_refused() {
    let bytes = float_spec(3).to_bytes().unwrap();
    for length in 0..bytes.len() {
        let error = parse::<F32>(&bytes[..length]).unwrap_err();
        match length {
            0..4 => assert_eq!(error, ModelError::NotAModel),
            _ => assert!(matches!(error, ModelError::Truncated { .. }), "{length}: {error}"),
        }
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = float_spec(3).to_bytes().unwrap();
    bytes[layout::AT_VERSION] = 9;
    seal(&mut bytes);
    let error = parse::<F32>(&bytes).unwrap_err();
    assert_eq!(error, ModelError::Version { found: 9 });
    assert!(
        error.to_string().contains("version 9; this build reads version 3"),
        "{error}"
    );
}

#[test]
fn another_format_is_named() {
    let bytes = float_spec(3).to_bytes().unwrap();
    let expected = ModelError::WrongFormat {
        found: FormatId::F32,
        expected: FormatId::W8A16,
    };
    assert_eq!(parse::<W8A16>(&bytes).unwrap_err(), expected);
    let mut bytes = bytes;
    bytes[layout::AT_FORMAT] = 77;
    seal(&mut bytes);
    assert_eq!(
        parse::<F32>(&bytes).unwrap_err(),
        ModelError::UnknownFormat { code: 77 }
    );
}

#[test]
fn misaligned_memory_is_refused() {
    let bytes = float_spec(3).to_bytes().unwrap();
    let shifted = AlignedBytes::new(&[&[0u8], bytes.as_slice()].concat());
    assert_eq!(Model::<F32>::parse(&shifted[1..]).err(), Some(ModelError::Misaligned));
}

#[test]
fn buffers_that_are_too_small_are_refused() {
    let bytes = AlignedBytes::new(&float_spec(3).to_bytes().unwrap());
    let model = Model::<F32>::parse(&bytes).unwrap();
    let needed = ModelError::Capacity { dim: 6, width: 11 };
    assert_eq!(
        Sampler::with_storage(&model, Inline::<F32, 5, 11>::default()).err(),
        Some(needed)
    );
    assert_eq!(
        Likelihood::with_storage(&model, Inline::<F32, 6, 10>::default()).err(),
        Some(needed)
    );
    assert!(Sampler::with_storage(&model, Inline::<F32, 64, 64>::default()).is_ok());
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let mut spec = float_spec(3);
    spec.layers[1].columns = 9;
    spec.layers[1].weights.truncate(11 * 9);
    let SpecError::Rejected(ModelError::Layer { index: 1, problem }) = spec.to_bytes().unwrap_err() else {
        panic!()
    };
    assert!(problem.contains("inputs"), "{problem}");

    let mut spec = integer_spec(&float_spec(3));
    spec.layers[2].requant[1] = WideRequant {
        multiplier: -1,
        shift: 33,
    };
    assert_eq!(problem_of(&spec), (2, "a requantization is out of range"));
    let mut spec = byte_spec::<W8A8>(&float_spec(3), 8);
    spec.layers[1].requant[10].before = 32;
    assert_eq!(problem_of(&spec), (1, "a requantization is out of range"));
}

fn problem_of<F: Format>(spec: &ModelSpec<F>) -> (u16, &'static str) {
    match spec.to_bytes().unwrap_err() {
        SpecError::Rejected(ModelError::Layer { index, problem }) => (index, problem),
        other => panic!("{other}"),
    }
}

/// A layer that a format cannot compute is refused when the file is read, not computed wrongly.
#[test]
fn layers_that_a_format_cannot_run_are_named() {
    let mut spec = byte_spec::<W8A8>(&float_spec(3), 8);
    spec.layers[1].packed = true;
    spec.layers[1].weights = pack_rows(&spec.layers[1].weights, 11);
    assert_eq!(problem_of(&spec), (1, "this format has no packed weights"));

    let mut spec = byte_spec::<W4A8>(&float_spec(3), 4);
    spec.layers[0].relu = false;
    assert_eq!(
        problem_of(&spec),
        (0, "in this format every hidden layer has a rectifier")
    );
    let mut spec = integer_spec(&float_spec(3));
    spec.layers[0].relu = false;
    spec.to_bytes().unwrap();

    let mut spec = float_spec(3);
    spec.layers[2].relu = true;
    assert_eq!(problem_of(&spec), (2, "the last layer has no rectifier"));
}

#[test]
fn specifications_that_make_no_file_say_why() {
    let mut spec = float_spec(3);
    spec.head.gamma[2] = spec.head.gamma[1];
    assert_eq!(
        spec.to_bytes().unwrap_err(),
        SpecError::Schedule(ScheduleError::NotIncreasing { index: 2 })
    );
    let mut spec = float_spec(3);
    spec.layers[0].biases.pop();
    assert_eq!(
        spec.to_bytes().unwrap_err().to_string(),
        "layer 0: the bias table has the wrong length"
    );
}

/// A model with less noise than the posterior draws and does not score, in floats and in integers.
#[test]
fn a_model_for_samples_alone_has_no_elbo() {
    fn check<F: Format>(spec: &ModelSpec<F>) {
        let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
        let model = Model::<F>::parse(&bytes).unwrap();
        assert!(model.header().samples_only);
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(1);
        let mut sampler = Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
        let row = sampler.sample(&mut rng).to_vec();
        let mut likelihood = Likelihood::with_storage(&model, Heap::for_model(&model)).unwrap();
        assert_eq!(likelihood.elbo_of_levels(&row, &mut rng), Err(RowError::SamplesOnly));
        // Given z_T the chain is a map: the generator does not matter any more.
        let mut end = |seed| {
            sampler.start(&mut Xoshiro128PlusPlus::seed_from_u64(5));
            let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
            while sampler.step(&mut rng).is_some() {}
            sampler.levels().to_vec()
        };
        assert_eq!(end(1), end(2));
    }
    let mut float = float_spec(4);
    float.head.eta = 0.0;
    check(&float);
    check(&integer_spec(&float));
    for (eta, variance) in [
        (-0.1, None),
        (f64::NAN, None),
        (1.5, None),
        (0.5, common::shaped(&float).head.variance),
    ] {
        let float = float_spec(4);
        let spec = ModelSpec {
            head: ModelHead {
                eta,
                variance,
                ..float.head
            },
            layers: float.layers,
        };
        assert!(matches!(spec.to_bytes(), Err(SpecError::Eta { .. })), "{eta}");
    }
    assert!(!float_is_samples_only(&float_spec(4)));
}

fn float_is_samples_only(spec: &ModelSpec<F32>) -> bool {
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    Model::<F32>::parse(&bytes).unwrap().header().samples_only
}

/// A first γ so low that σ_0 rounds away in Q1.14 would make the ELBO look better than it is.
#[test]
fn noise_below_the_formats_resolution_is_refused() {
    let mut spec = integer_spec(&float_spec(3));
    spec.head.gamma[0] = -16.0;
    let error = spec.to_bytes().unwrap_err();
    assert!(matches!(error, SpecError::Resolution { step: 0, .. }), "{error}");
    assert!(error.to_string().contains("the decoder: ") && error.to_string().contains("raise gamma_0"));
    let mut spec = integer_spec(&values(&float_spec(3)));
    spec.head.decoder = ancestral::model::DecoderSpec::Network {
        deviations: vec![2.5; 6],
    };
    let error = spec.to_bytes().unwrap_err();
    assert!(matches!(error, SpecError::Spread { step: 0, .. }), "{error}");
    assert!(error.to_string().contains("the decoder: ") && error.to_string().contains("a float format"));
    let mut spec = float_spec(3);
    spec.head.gamma[0] = -16.0;
    spec.to_bytes().unwrap();
}

/// A gain is part of the step's factor of the output, and of nothing else.
#[test]
fn a_gain_multiplies_the_networks_output() {
    let plain = odds_decoding(3);
    let mut spec = plain.clone();
    spec.head.gains = vec![0.5, 0.75, 1.0, 0.875];
    let constants = |spec: &ModelSpec<F32>| {
        let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
        Model::<F32>::parse(&bytes).unwrap().step_table().constants.to_vec()
    };
    let expected: Vec<[f32; 8]> = constants(&plain)
        .iter()
        .zip(&spec.head.gains)
        .map(|(&[skip, out, rest @ ..], gain)| {
            let mut record = [skip, out * *gain as f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            record[2..].copy_from_slice(&rest);
            record
        })
        .collect();
    assert_eq!(constants(&spec), expected);
    spec.head.gains.pop();
    let error = spec.to_bytes().unwrap_err().to_string();
    assert_eq!(error, "the list of gains has the wrong length");
    // At most of the steps the factor is 1 already, which is the most that integers hold.
    let mut loud = integer_spec(&plain);
    loud.head.gains = vec![1.5; 4];
    let error = loud.to_bytes().unwrap_err().to_string();
    assert!(error.contains("the constant `out` does not fit"), "{error}");
}

/// A list that is too short and a number beyond the file's fields are different mistakes.
#[test]
fn wrong_lengths_and_sizes_that_do_not_fit_are_told_apart() {
    let mut short = float_spec(3);
    short.layers[1].biases.pop();
    let mut steep = integer_spec(&float_spec(3));
    steep.head.exponents = vec![0, 0, 200];
    for (error, sentence) in [
        (
            short.to_bytes().unwrap_err(),
            "layer 1: the bias table has the wrong length",
        ),
        (
            float_spec(65_536).to_bytes().unwrap_err(),
            "the number of steps is too large",
        ),
        (steep.to_bytes().unwrap_err(), "an exponent is too large"),
    ] {
        assert!(error.to_string().starts_with(sentence), "{error}");
    }
}

/// Decoders and predictions that do not go together are refused when they are written.
#[test]
fn a_decoder_without_its_prediction_is_refused() {
    let float = float_spec(3);
    let mut clipped = odds(&float);
    clipped.head.clip = true;
    let mut others = odds(&float);
    others.head.levels = 16;
    let with_deviations = decoding(&odds(&float), vec![0.1; 6]);
    for spec in [clipped, others, with_deviations, decoding(&float, Vec::new())] {
        assert_eq!(spec.to_bytes().unwrap_err(), SpecError::Decoder);
    }
    let sentence = SpecError::Decoder.to_string();
    assert!(sentence.contains("log-odds need levels"), "{sentence}");
}

/// A table of the read-out that is not whole is refused when the file is read.
#[test]
fn broken_read_out_tables_are_refused() {
    let bytes = odds_decoding(3).to_bytes().unwrap();
    let offset = |section: layout::Section| layout::read_u32(&bytes, section.row().at) as usize;
    let tables = offset(layout::Section::ReadOutTables);
    let index = offset(layout::Section::ReadOutIndex);
    let draw = offset(layout::Section::LevelDraw);
    for (at, value, name) in [
        // Cells that do not follow one another, too many intervals, a position behind the last table, a negative gain.
        (tables + 3, 0xFF, "read-out tables"),
        (tables, 0x0B, "read-out tables"),
        (index + 3, 0xFF, "read-out tables"),
        (draw + 7, 0x80, "drawing constants"),
        (layout::AT_TABLE_WORDS, 1, "read-out tables"),
    ] {
        let mut broken = bytes.clone();
        broken[at] = value;
        seal(&mut broken);
        assert_eq!(parse::<F32>(&broken).unwrap_err(), ModelError::Field { name }, "{at}");
    }
}

/// The bytes of a small model in the format of an identifier.
macro_rules! file_in {
    ($id:expr, $spec:expr, $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        match $id {
            $(FormatId::$format => ancestral::$format::from_float(&$spec).to_bytes(),)*
            other => panic!("no model in {other}"),
        }
    };
}

macro_rules! run_in_every_format {
    ($bytes:ident; $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        $(run_if_accepted::<ancestral::$format>(&$bytes);)*
    };
}

proptest! {
    #[test]
    fn any_flipped_bit_is_noticed(position in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = integer_spec(&float_spec(3)).to_bytes().unwrap();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        prop_assert!(parse::<W8A16>(&bytes).is_err());
    }

    /// A file with a right checksum and wrong contents may be refused or may run; it must not panic or read elsewhere.
    #[test]
    fn hostile_files_do_not_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        in_header in any::<bool>(),
        format in 0..FormatId::ALL.len(),
        kind in 0..3usize,
    ) {
        let spec = [float_spec(3), odds_decoding(3), values(&float_spec(3))][kind].clone();
        let mut bytes = for_each_format!(file_in, FormatId::ALL[format], spec,).unwrap();
        let span = if in_header { layout::HEADER_LEN } else { bytes.len() - layout::CRC_LEN };
        for (position, value) in edits {
            bytes[position.index(span)] = value;
        }
        seal(&mut bytes);
        let bytes = AlignedBytes::new(&bytes);
        let _ = Header::read(&bytes);
        for_each_format!(run_in_every_format, bytes;);
    }
}

fn run_if_accepted<F: Format>(bytes: &AlignedBytes) {
    let Ok(model) = Model::<F>::parse(bytes) else { return };
    if model.steps() > 64 {
        return;
    }
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(1);
    Sampler::with_storage(&model, Heap::for_model(&model))
        .unwrap()
        .sample(&mut rng);
    let row = vec![0; model.dim()];
    let mut likelihood = Likelihood::with_storage(&model, Heap::for_model(&model)).unwrap();
    let _ = likelihood.elbo_of_levels(&row, &mut rng);
    let _ = likelihood.elbo_of_values(&vec![0.0; model.dim()], &mut rng);
}
