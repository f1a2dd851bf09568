//! The quantile table of `ancestral::noise`, recomputed from its definition.
//!
//! Renew it with `BLESS=1 cargo test --test normal_table`.

use ancestral::noise::{CURVE_BITS, FRACTION_BITS, OCTAVES, SEGMENTS, SLOPE_BITS, Segment, TABLE, normal_q28};
use std::fmt::Write;

/// The x with P(|N(0,1)| > x) = p, by Newton's method on ln of the tail (concave, so it converges from above).
fn quantile(p: f64) -> f64 {
    let mut x = (-2.0 * p.ln()).max(0.0).sqrt().max(1e-3);
    if p > 0.1 {
        x = (1.0 - p) * 1.2533; // near the middle the distribution function is almost a line
    }
    for _ in 0..100 {
        let tail = libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2);
        let density = (2.0 / std::f64::consts::PI).sqrt() * (-0.5 * x * x).exp();
        let step = tail * (tail.ln() - p.ln()) / density;
        x += step;
        if step.abs() < 1e-14 {
            break;
        }
    }
    x
}

/// The parabola through the quantiles at the three Chebyshev nodes of a segment.
fn fit(octave: usize, segment: usize) -> Segment {
    let octave_start = 0.5f64.powi(octave as i32 + 1);
    let at = |r: f64| quantile(octave_start * (1.0 + (segment as f64 + r) / SEGMENTS as f64));
    let nodes = [1.0, 3.0, 5.0].map(|k: f64| 0.5 - 0.5 * (k * std::f64::consts::PI / 6.0).cos());
    let [a, b, c] = nodes.map(at);
    let [ra, rb, rc] = nodes;
    let ab = (b - a) / (rb - ra);
    let bc = (c - b) / (rc - rb);
    let curve = (bc - ab) / (rc - ra);
    let slope = ab - curve * (ra + rb);
    let value = a - slope * ra - curve * ra * ra;
    let fixed = |v: f64, bits: u32| (v * (1u64 << bits) as f64 + 0.5).floor();
    Segment {
        value: fixed(value, FRACTION_BITS) as i32,
        slope: i16::try_from(fixed(slope, SLOPE_BITS) as i64).expect("slope fits"),
        curve: i16::try_from(fixed(curve, CURVE_BITS) as i64).expect("curve fits"),
    }
}

fn render() -> String {
    let mut out = String::from(
        "//! The quantile table. Made by `BLESS=1 cargo test --test normal_table`; the same test checks it.\n\n\
         use super::segment::Segment;\n\n\
         /// Number of octaves of the tail probability.\npub const OCTAVES: usize = 32;\n\
         /// Number of segments of an octave.\npub const SEGMENTS: usize = 8;\n\n\
         const fn s(value: i32, slope: i16, curve: i16) -> Segment {\n    Segment { value, slope, curve }\n}\n\n\
         /// `TABLE[SEGMENTS * octave + segment]`.\n#[rustfmt::skip]\n\
         pub static TABLE: [Segment; OCTAVES * SEGMENTS] = [\n",
    );
    for octave in 0..OCTAVES {
        for half in 0..2 {
            out.push_str("   ");
            for segment in half * 4..half * 4 + 4 {
                let Segment { value, slope, curve } = fit(octave, segment);
                write!(out, " s({value}, {slope}, {curve}),").unwrap();
            }
            out.push('\n');
        }
    }
    out.push_str("];\n");
    out
}

#[test]
fn table_is_what_the_formula_says() {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/noise/table.rs"), render()).unwrap();
        return;
    }
    for octave in 0..OCTAVES {
        for segment in 0..SEGMENTS {
            assert_eq!(
                TABLE[octave * SEGMENTS + segment],
                fit(octave, segment),
                "octave {octave}, segment {segment}"
            );
        }
    }
}

#[test]
fn quantiles_are_within_a_sixth_of_the_last_place() {
    let mut worst = (0.0f64, 0u32);
    let mut word = 1u32;
    while word < 1 << 31 {
        for w in [word, word + word / 7, word + word / 3] {
            let p = (2.0 * f64::from(w) + 1.0) / 4294967296.0;
            if p < 1.0 {
                let error = (f64::from(normal_q28(w)) / 268435456.0 - quantile(p)).abs();
                if error > worst.0 {
                    worst = (error, w);
                }
            }
        }
        word += 1 + word / 1000;
    }
    assert!(worst.0 < 1.0 / 6.0 / 4096.0, "error {} at word {}", worst.0, worst.1);
}
