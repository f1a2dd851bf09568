//! Two 4-bit products with one 32-bit multiplication, for cores that multiply no vectors.
//!
//! Nibbles k and k + 4 of a word, made unsigned, are the halves of one factor; the other has the activation of column k
//! + 4 below and that of column k above, also unsigned. The product's upper half is then the sum of both products. The
//! lower half never carries into it: over sixteen columns either half is at most 8 · 2 · 15 · 255 < 2¹⁶. So eight
//! products are added up before the upper half is taken out.

use super::interface::GROUP;

/// Number of columns after which the upper half is taken out.
pub const COLUMNS: usize = 16;

/// Writes the bytes as 0..=255, in order.
pub fn unsigned(bytes: &[i8], words: &mut [u32]) {
    // Whole words where they are aligned, which they are in the runtime's own buffers.
    if let Ok(from) = bytemuck::try_cast_slice::<i8, u32>(bytes) {
        for (word, &from) in words.iter_mut().zip(from) {
            *word = from ^ 0x8080_8080;
        }
    } else {
        for (word, from) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(from.map(|a| a as u8)) ^ 0x8080_8080;
        }
    }
}

/// Writes 16-bit values, two to a word.
pub fn halves(values: &[i16], words: &mut [u32]) {
    for (word, &[low, high]) in words.iter_mut().zip(values.as_chunks::<2>().0) {
        *word = u32::from(low as u16) | u32::from(high as u16) << 16;
    }
}

/// Writes pairs of activations for the nibbles: word j of sample s is word `samples`·j + s. Returns the start value of
/// each sample's sums, `−8·Σ a`, because an unsigned nibble is 8 more than it should be.
pub fn pairs(bytes: &[i8], columns: usize, samples: usize, words: &mut [u32]) -> [i32; GROUP] {
    let mut start = [0; GROUP];
    for (sample, (input, start)) in bytes.chunks_exact(columns.max(1)).zip(&mut start).enumerate() {
        // Whole words where they are aligned, which they are in the runtime's own buffers.
        let total = match bytemuck::try_cast_slice::<i8, [u32; 2]>(input) {
            Ok(columns) => write(columns.iter().copied(), sample, samples, words),
            Err(_) => {
                let word = |[a, b, c, d]: [i8; 4]| u32::from_le_bytes([a as u8, b as u8, c as u8, d as u8]);
                let columns = input.as_chunks::<4>().0.as_chunks::<2>().0;
                write(columns.iter().map(|pair| pair.map(word)), sample, samples, words)
            }
        };
        *start = (total as i32).wrapping_mul(-8);
    }
    start
}

/// Writes the pairs of one sample's columns, eight at a time; returns the sum of the activations.
#[inline(always)]
fn write(columns: impl Iterator<Item = [u32; 2]>, sample: usize, samples: usize, words: &mut [u32]) -> u32 {
    let mut total = 0;
    if samples == 1 {
        for (words, columns) in words.as_chunks_mut::<4>().0.iter_mut().zip(columns) {
            *words = eight(columns);
            total += sum(words);
        }
    } else {
        for (words, columns) in words.as_chunks_mut::<{ 4 * GROUP }>().0.iter_mut().zip(columns) {
            let pairs = eight(columns);
            total += sum(&pairs);
            for (words, pair) in words.as_chunks_mut::<GROUP>().0.iter_mut().zip(pairs) {
                if let Some(word) = words.get_mut(sample) {
                    *word = pair;
                }
            }
        }
    }
    total
}

/// Returns the pairs of eight columns that lie in two words: column k above, column k + 4 below.
#[inline(always)]
fn eight([upper, lower]: [u32; 2]) -> [u32; 4] {
    let (upper, lower) = (upper ^ 0x8080_8080, lower ^ 0x8080_8080);
    [
        upper << 16 & 0x00FF_0000 | lower & 0xFF,
        upper << 8 & 0x00FF_0000 | lower >> 8 & 0xFF,
        upper & 0x00FF_0000 | lower >> 16 & 0xFF,
        upper >> 8 & 0x00FF_0000 | lower >> 24,
    ]
}

/// Adds up eight activations in pairs.
#[inline(always)]
fn sum(pairs: &[u32; 4]) -> u32 {
    let both = pairs[0] + pairs[1] + pairs[2] + pairs[3];
    (both & 0xFFFF) + (both >> 16)
}
