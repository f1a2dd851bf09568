//! Golden vectors: the shipped models draw the same bytes on every machine and at every optimization level. The
//! emulated board's output is compared with the same vectors.
//!
//! `host-train sample MODEL --count 10 --seed 7 --hex` made them; `cargo xtask test --bless` renews them.

use ancestral::{Format, FormatId, Likelihood, Sampler, W4A8, W8A16, for_each_format, include_model};
use ancestral::{model::StaticModel, storage::Inline};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

include_model!(INTEGER: W8A16 = "../models/digits-t64-w8a16.vdm");
include_model!(FEW: W8A16 = "../models/digits-t8-w8a16.vdm");

const SEED: u64 = 7;

fn check<F: Format, const D: usize, const W: usize>(model: &'static StaticModel<F, D, W>, golden: &str) {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(SEED);
    let mut sampler = Sampler::new(model);
    assert_eq!(golden.lines().count(), 10);
    for (index, line) in golden.lines().enumerate() {
        let digits: String = sampler
            .sample(&mut rng)
            .iter()
            .map(|level| format!("{level:02x}"))
            .collect();
        assert_eq!(format!("hex {index} {digits}"), line);
    }
}

/// Checks the formats of which a condition is true.
macro_rules! check_formats {
    ($condition:expr, $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {$({
        include_model!(MODEL: ancestral::$format = concat!("../models/digits-t64-", $name, ".vdm"));
        if $condition(FormatId::$format) {
            check(&MODEL, include_str!(concat!("golden/digits-t64-", $name, ".hex")));
        }
    })*};
}

#[test]
fn float_samples_are_the_golden_ones() {
    for_each_format!(check_formats, |format: FormatId| !format.is_integer(),);
}

#[test]
fn integer_samples_are_the_golden_ones() {
    for_each_format!(check_formats, FormatId::is_integer,);
    check(&FEW, include_str!("golden/digits-t8-w8a16.hex"));
}

/// Pictures that a person would call digits are likely, others are unlikely; every score is finite.
#[test]
fn the_elbo_tells_digits_from_other_pictures() {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(SEED);
    let mut sampler = Sampler::new(&INTEGER);
    let mut likelihood = Likelihood::new(&INTEGER);
    let mut score = |row: &[u8]| {
        let elbo = likelihood
            .elbo_of_levels(row, &mut Xoshiro128PlusPlus::seed_from_u64(1))
            .unwrap();
        assert!(elbo.total().is_finite() && elbo.prior > 0.0);
        f64::from(elbo.total()) / (64.0 * std::f64::consts::LN_2)
    };
    let digit = score(sampler.sample(&mut rng));
    let stripes: Vec<u8> = (0..64).map(|i| if i % 2 == 0 { 16 } else { 0 }).collect();
    let inverted: Vec<u8> = sampler.levels().iter().map(|level| 16 - level).collect();
    assert!(digit < 3.5, "{digit}");
    assert!(score(&stripes) > digit + 3.0 && score(&inverted) > digit + 3.0);
}

/// The memory that a user must set aside is known while compiling, and small.
#[test]
fn a_sampler_of_digits_is_under_two_kilobytes() {
    assert!(size_of::<Sampler<'static, W8A16, Inline<W8A16, 64, 256>>>() <= 2048);
    assert!(size_of::<Sampler<'static, W4A8, Inline<W4A8, 64, 256>>>() <= 1536);
}
