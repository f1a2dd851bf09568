//! The standard normal, in integers: one 32-bit word in, one normal out, no loop, no division, no float.
//!
//! The inverse distribution function is tabulated. A word gives a sign and a tail probability `p = (2v + 1)/2³²`; the
//! magnitude is `Φ⁻¹(1 − p/2)`. The position of p's leading one selects one of 32 octaves, so the tail is as well
//! resolved as the middle, up to 6.3σ. The next three bits select one of 8 segments, and the rest a point on that
//! segment's parabola. The table has 256 segments of 8 bytes; the parabola is within 4·10⁻⁵ of the true quantile, a
//! sixth of the last place of Q3.12.
//!
//! Compared with a ziggurat, every draw takes the same time (a firmware can count on it) and exactly one word (so two
//! number formats with the same seed see the same noise).
//!
//! ```
//! use ancestral::noise::{normal_q28, to_f32};
//! // The largest tail probability is the middle of the distribution, the smallest its far end.
//! assert!(to_f32(normal_q28(0x7FFF_FFFF)).abs() < 1e-4);
//! assert!((to_f32(normal_q28(0)) - 6.33).abs() < 0.01);
//! assert_eq!(normal_q28(5), -normal_q28(5 | 1 << 31));
//! ```

mod segment;
mod table;

pub use segment::Segment;
pub use table::{OCTAVES, SEGMENTS, TABLE};

/// Number of fraction bits of [`normal_q28`].
pub const FRACTION_BITS: u32 = 28;
/// Number of fraction bits of the position inside a segment.
pub const POSITION_BITS: u32 = 15;
/// Number of fraction bits of [`Segment::slope`].
pub const SLOPE_BITS: u32 = 17;
/// Number of fraction bits of [`Segment::curve`].
pub const CURVE_BITS: u32 = 20;

/// Converts 32 random bits to a standard normal in Q3.28, ±6.33 at most.
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

/// Converts Q3.28 to a float, rounded once.
pub fn to_f32(q28: i32) -> f32 {
    q28 as f32 * (1.0 / (1u32 << FRACTION_BITS) as f32)
}
