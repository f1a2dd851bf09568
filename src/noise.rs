//! The standard normal, in integers: one 32-bit word in, one normal out, no loop, no division, no float.
//!
//! The inverse distribution function is tabulated. A word gives a sign and a tail probability
//! `p = (2v + 1)/2³²`; the magnitude is `Φ⁻¹(1 − p/2)`. The position of p's leading one picks one of 32 octaves (so
//! the tail is as well resolved as the middle, up to 6.3σ), the next three bits one of 8 segments, and the
//! rest a point on that segment's parabola. The table has 256 segments of 8 bytes; the parabola is within 4·10⁻⁵ of the
//! true quantile, a sixth of the last place of Q3.12.
//!
//! Compared with a ziggurat this takes the same time for every draw (a firmware can count on it) and exactly
//! one word (so two number formats given one seed walk through the same noise).
//!
//! ```
//! use ancestral::noise::{normal_q28, to_f32};
//! // The largest tail probability is the middle of the distribution, the smallest its far end.
//! assert!(to_f32(normal_q28(0x7FFF_FFFF)).abs() < 1e-4);
//! assert!((to_f32(normal_q28(0)) - 6.33).abs() < 0.01);
//! assert_eq!(normal_q28(5), -normal_q28(5 | 1 << 31));
//! ```

mod table;

pub use table::{OCTAVES, SEGMENTS, TABLE};

/// Fraction bits of [`normal_q28`].
pub const FRACTION_BITS: u32 = 28;
/// Fraction bits of the position inside a segment.
pub const POSITION_BITS: u32 = 15;
/// Fraction bits of [`Segment::slope`].
pub const SLOPE_BITS: u32 = 17;
/// Fraction bits of [`Segment::curve`].
pub const CURVE_BITS: u32 = 20;

/// One segment of the inverse distribution function: `value + slope·r + curve·r²` for r in [0, 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The quantile at r = 0, Q3.28.
    pub value: i32,
    /// The linear coefficient, Q17.
    pub slope: i16,
    /// The quadratic coefficient, Q20.
    pub curve: i16,
}

/// A standard normal in Q3.28 from 32 random bits, ±6.33 at most.
pub fn normal_q28(word: u32) -> i32 {
    let tail = (word << 1) | 1;
    let octave = tail.leading_zeros();
    // Drop the leading one: what is left is the position inside the octave, 32 bits of fraction.
    let inside = (tail << octave) << 1;
    let index = (octave * SEGMENTS as u32 + (inside >> 29)) as usize;
    // The mask keeps the index inside the table without a branch that could panic.
    let segment = &TABLE[index % (OCTAVES * SEGMENTS)];
    let r = ((inside << 3) >> (32 - POSITION_BITS)) as i32;
    let curve = (i32::from(segment.curve) * r) >> (POSITION_BITS + CURVE_BITS - SLOPE_BITS);
    let bend = (i32::from(segment.slope) + curve).wrapping_mul(r); // Q(17 + 15)
    let magnitude = segment.value + (bend >> (SLOPE_BITS + POSITION_BITS - FRACTION_BITS));
    if word >> 31 == 0 { magnitude } else { -magnitude }
}

/// Q3.28 as a float, rounded once.
pub fn to_f32(q28: i32) -> f32 {
    q28 as f32 * (1.0 / (1u32 << FRACTION_BITS) as f32)
}
