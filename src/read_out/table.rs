//! Read-outs as the runtime holds them.

use crate::fixed::STATE_BITS;

/// Number of cells of a table.
pub const CELLS: usize = 32;
/// Number of bits of a magnitude in Q3.12 below those that number the cell.
const CELL_BITS: u32 = 10;
/// Number of bits of a directory entry that hold the logarithm of the number of intervals.
const COUNT_BITS: u32 = 4;
/// A table begins at a multiple of this many words.
pub const TABLE_ALIGNMENT: usize = 4;

/// One table: G_t at the ends of intervals of |u|.
#[derive(Clone, Copy, Debug)]
pub struct LevelTable<'a> {
    directory: &'a [u16; CELLS],
    entries: &'a [u16],
}

/// The interval of a table that holds an argument.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interval {
    /// Value at its lower end, Q1.14.
    pub low: i32,
    /// Value at its upper end less that at its lower end, Q1.14.
    pub rise: i32,
    /// Distance from its lower end, in units of the state.
    pub distance: u32,
    /// Logarithm to base 2 of its width, in the same units.
    pub width_bits: u32,
}

#[cfg(feature = "alloc")]
impl Interval {
    /// Returns the value at the argument, Q1.14.
    pub fn value(&self) -> f64 {
        f64::from(self.low) + f64::from(self.rise) * f64::from(self.distance) / f64::from(1u32 << self.width_bits)
    }
}

impl<'a> LevelTable<'a> {
    /// Reads the table at the beginning of `words`: the directory, then the entries. It may be followed by others.
    pub fn new(words: &'a [u16]) -> Option<Self> {
        let (directory, entries) = words.split_first_chunk()?;
        Some(Self { directory, entries })
    }

    /// Largest number of intervals that a directory can count.
    #[cfg(feature = "alloc")]
    pub(crate) const MAX_INTERVALS: usize = u16::MAX as usize >> COUNT_BITS;

    /// Returns the entry of the directory for a cell with `1 << count_bits` intervals, whose first entry is `first`.
    pub const fn directory_entry(first: u16, count_bits: u32) -> u16 {
        first << COUNT_BITS | count_bits as u16
    }

    /// Returns the number of words of a table in a file if its directory is valid: the cells follow one another and
    /// have at most 2¹⁰ intervals each.
    ///
    /// * `at`: offset of the table in the file.
    pub(crate) const fn checked_len(bytes: &[u8], at: usize) -> Option<usize> {
        let mut first = 0usize;
        let mut cell = 0;
        while cell < CELLS {
            let place = at + 2 * cell;
            if place + 1 >= bytes.len() {
                return None;
            }
            let entry = bytes[place] as u16 | (bytes[place + 1] as u16) << 8;
            let bits = entry as u32 & ((1 << COUNT_BITS) - 1);
            if bits > CELL_BITS || (entry >> COUNT_BITS) as usize != first {
                return None;
            }
            first += 1 << bits;
            cell += 1;
        }
        // One entry more than there are intervals.
        Some(CELLS + first + 1)
    }

    /// Returns the interval of |u|.
    ///
    /// * `magnitude`: |u| in Q3.12, below 2¹⁵.
    #[inline(always)]
    pub(crate) fn interval(&self, magnitude: u32) -> Interval {
        let cell = (magnitude >> CELL_BITS) as usize & (CELLS - 1);
        let entry = u32::from(self.directory[cell]);
        let width_bits = CELL_BITS - (entry & ((1 << COUNT_BITS) - 1)).min(CELL_BITS);
        let inside = magnitude & ((1 << CELL_BITS) - 1);
        let index = ((entry >> COUNT_BITS) + (inside >> width_bits)) as usize;
        let Some(&[low, high]) = self.entries.get(index..).and_then(|e| e.first_chunk()) else {
            return Interval::default();
        };
        let low = i32::from(low as i16);
        Interval {
            low,
            rise: i32::from(high as i16) - low,
            distance: inside & ((1 << width_bits) - 1),
            width_bits,
        }
    }

    /// Largest magnitude, in Q3.12.
    pub(crate) const LAST: u16 = i16::MAX as u16;

    /// Number of fraction bits of an entry beyond those of the state.
    pub(crate) const EXTRA_BITS: u32 = crate::fixed::CONSTANT_BITS - STATE_BITS;
}

/// The read-out of one step.
#[derive(Clone, Copy, Debug)]
pub enum ReadOut<'a> {
    /// x̂ is the argument: unbounded continuous data.
    Identity,
    /// x̂ is the nearest value in [−1, 1]: data of that range.
    Clip,
    /// x̂ is the posterior mean of a level.
    Levels(LevelTable<'a>),
}

/// The read-outs of a model.
#[derive(Clone, Copy, Debug)]
pub enum ReadOuts<'a> {
    /// [`ReadOut::Identity`] at every step.
    Identity,
    /// [`ReadOut::Clip`] at every step.
    Clip,
    /// A table for each step.
    Levels {
        /// Position of the table of step t, divided by [`TABLE_ALIGNMENT`]: `T + 1` values. Steps may share a table.
        index: &'a [u16],
        /// The tables.
        words: &'a [u16],
    },
}

impl<'a> ReadOuts<'a> {
    /// Returns the read-out of step `t`.
    #[inline]
    pub fn get(&self, t: usize) -> ReadOut<'a> {
        match self {
            Self::Identity => ReadOut::Identity,
            Self::Clip => ReadOut::Clip,
            Self::Levels { index, words } => {
                let at = index.get(t).map_or(0, |&at| usize::from(at) * TABLE_ALIGNMENT);
                // Parsing has checked every position.
                match words.get(at..).and_then(LevelTable::new) {
                    Some(table) => ReadOut::Levels(table),
                    None => ReadOut::Clip,
                }
            }
        }
    }
}
