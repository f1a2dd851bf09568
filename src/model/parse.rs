//! The checks of a model file that depend on its number format.

use super::error::ModelError;
use super::header::Header;
use super::layout::{self, LayerRecord, SECTION_COUNT, SECTIONS, Section, SectionRow, byte, read_u16, read_u32};
use super::view::Model;
use crate::fixed::{NarrowRequant, WideRequant};
use crate::format::{Format, RequantKind};
use crate::kernel::row_len;
use crate::level_draw::LevelDraw;
use crate::number::Number;
use crate::read_out::{LevelTable, TABLE_ALIGNMENT};
use core::marker::PhantomData;

impl<'a, F: Format> Model<'a, F> {
    /// Checks a model that lies in memory. Nothing is copied: the weights are used where they are.
    ///
    /// * `bytes`: the file, beginning at a multiple of 8; what follows its end (in a flash partition) is ignored.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ancestral::{Model, W8A16, model::AlignedBytes};
    /// let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"))?;
    /// let bytes = AlignedBytes::new(&file);
    /// let model = Model::<W8A16>::parse(&bytes)?;
    /// assert_eq!((model.dim(), model.steps(), model.width()), (64, 64, 256));
    /// // A damaged copy is refused.
    /// let mut damaged = file.clone();
    /// damaged[1000] ^= 1;
    /// assert!(Model::<W8A16>::parse(&AlignedBytes::new(&damaged)).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ModelError::Misaligned`], those of [`Header::read`], [`WrongFormat`](ModelError::WrongFormat) if the file is
    /// not in format `F`, and [`Field`](ModelError::Field) or [`Layer`](ModelError::Layer) if its contents do not fit
    /// together.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        if !(bytes.as_ptr() as usize).is_multiple_of(layout::ALIGNMENT) {
            return Err(ModelError::Misaligned);
        }
        Self::check(bytes)
    }

    /// Checks everything but the alignment, which a constant expression cannot see.
    pub(super) const fn check(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let header = match Header::read(bytes) {
            Ok(header) => header,
            Err(error) => return Err(error),
        };
        if header.format as u8 != F::ID as u8 {
            return Err(ModelError::WrongFormat {
                found: header.format,
                expected: F::ID,
            });
        }
        let mut index = 0;
        while index < SECTION_COUNT {
            let row = &SECTIONS[index];
            if !header.holds_section::<F>(row) {
                return Err(ModelError::Field { name: row.field });
            }
            index += 1;
        }
        if let Some(name) = header.section_problem::<F>(bytes) {
            return Err(ModelError::Field { name });
        }
        let table = header.offset(Section::LayerTable) as usize;
        let mut index = 0;
        let mut columns = header.dim;
        while index < header.layers {
            let record = LayerRecord::read(bytes, table, index as usize);
            let last = index + 1 == header.layers;
            let problem = match header.layer_problem::<F>(&record, columns, index == 0, last) {
                None => requant_problem::<F>(bytes, &record),
                problem => problem,
            };
            if let Some(problem) = problem {
                return Err(ModelError::Layer { index, problem });
            }
            columns = record.rows;
            index += 1;
        }
        Ok(Self {
            bytes,
            header,
            format: PhantomData,
        })
    }
}

impl Header {
    /// Returns whether a section lies in the file, or is absent and may be.
    const fn holds_section<F: Format>(&self, row: &SectionRow) -> bool {
        if !row.required && !self.has(row.section) {
            return true;
        }
        let constant = size_of::<<F::Number as Number>::Constant>();
        let [first, second, entry] = self.length_factors(row, constant);
        // The first two have 17 bits, the length of the note 32.
        let length = first as u64 * second as u64 * entry as u64;
        self.holds(self.offset(row.section), length)
    }

    /// Returns the name of a header field whose section has bad contents, or does not go with the others.
    const fn section_problem<F: Format>(&self, bytes: &[u8]) -> Option<&'static str> {
        let exponents = self.offset(Section::Exponents) as usize;
        let spreads = self.has(Section::Spreads);
        if !increases(bytes, self.offset(Section::Gamma) as usize, self.steps as usize + 1) {
            return Some("gamma");
        }
        if exponents != 0 && matches!(F::REQUANT, RequantKind::None) {
            return Some("exponents");
        }
        let mut step = 0;
        while exponents != 0 && step < self.calls() {
            if byte(bytes, exponents + step) > layout::MAX_EXPONENT {
                return Some("exponents");
            }
            step += 1;
        }
        if spreads != self.has(Section::Nats) {
            return Some(Section::Nats.row().field);
        }
        if self.samples_only && spreads {
            return Some("flags");
        }
        if self.has(Section::Basis) && !spreads && !self.has(Section::Deviations) {
            return Some(Section::Basis.row().field);
        }
        let draw = self.offset(Section::LevelDraw) as usize;
        if draw != 0 && !level_draw(bytes, draw).is_valid() {
            return Some("drawing constants");
        }
        if self.has(Section::ReadOutTables) && !self.read_outs_are_valid(bytes) {
            return Some("read-out tables");
        }
        None
    }

    /// Returns whether each step's read-out is a whole table.
    const fn read_outs_are_valid(&self, bytes: &[u8]) -> bool {
        let row = Section::ReadOutTables.row();
        let [words, _, entry] = self.length_factors(row, 0);
        let start = self.offset(Section::ReadOutTables) as usize;
        // The section lies in the file, so this fits.
        let end = start + words as usize * entry as usize;
        let index = self.offset(Section::ReadOutIndex) as usize;
        let mut checked = start;
        let mut step = 0;
        while step <= self.steps as usize {
            let at = start + read_u16(bytes, index + 2 * step) as usize * TABLE_ALIGNMENT * entry as usize;
            // Neighbors that share a table need one look at it.
            if step == 0 || at != checked {
                let whole = match LevelTable::checked_len(bytes, at) {
                    Some(words) => at + words * entry as usize <= end,
                    None => false,
                };
                if !whole {
                    return false;
                }
                checked = at;
            }
            step += 1;
        }
        true
    }

    const fn layer_problem<F: Format>(
        &self,
        record: &LayerRecord,
        columns: u16,
        first: bool,
        last: bool,
    ) -> Option<&'static str> {
        let (rows, flags) = (record.rows as u64, record.flags);
        let known = layout::LAYER_RELU | layout::LAYER_RESIDUAL | layout::LAYER_PER_STEP | layout::LAYER_PACKED;
        let packed = flags & layout::LAYER_PACKED != 0;
        let row = row_len(columns as usize, packed) as u64;
        let bias_rows = if flags & layout::LAYER_PER_STEP != 0 {
            rows * self.calls() as u64
        } else {
            rows
        };
        if flags & !known != 0 {
            Some("unknown flags")
        } else if record.columns != columns {
            Some("its inputs are not as many as the layer before has outputs")
        } else if last && record.rows != self.dim {
            Some("the last layer's outputs are not as many as the data's dimensions")
        } else if !last && (record.rows == 0 || record.rows > self.width) {
            Some("it is wider than the header says")
        } else if flags & layout::LAYER_RESIDUAL != 0 && record.rows != record.columns {
            Some("a residual layer must have as many outputs as inputs")
        } else if flags & layout::LAYER_RESIDUAL != 0 && (first || last) {
            Some("only a layer between two hidden ones can be residual")
        } else if flags & layout::LAYER_RELU != 0 && last {
            Some("the last layer has no rectifier")
        } else if F::RECTIFIED && !last && flags & layout::LAYER_RELU == 0 {
            Some("in this format every hidden layer has a rectifier")
        } else if packed && !F::PACKS {
            Some("this format has no packed weights")
        } else if !self.holds(record.weights, rows * row * size_of::<F::Weight>() as u64) {
            Some("its weights lie outside the file")
        } else if !self.holds(record.biases, bias_rows * size_of::<F::Bias>() as u64) {
            Some("its biases lie outside the file")
        } else if !matches!(F::REQUANT, RequantKind::None)
            && !self.holds(record.requant, rows * size_of::<F::Requant>() as u64)
        {
            Some("its requantizations lie outside the file")
        } else {
            None
        }
    }
}

/// Reads the constants for drawing levels.
const fn level_draw(bytes: &[u8], at: usize) -> LevelDraw {
    const fn read_i64(bytes: &[u8], at: usize) -> i64 {
        read_u32(bytes, at) as i64 | (read_u32(bytes, at + 4) as i64) << 32
    }
    LevelDraw {
        gain: read_i64(bytes, at),
        curvature: read_i64(bytes, at + 8),
    }
}

/// Returns whether `count` floats are finite and each is above the one before.
const fn increases(bytes: &[u8], at: usize, count: usize) -> bool {
    let mut before = f32::NEG_INFINITY;
    let mut index = 0;
    while index < count {
        let value = f32::from_bits(read_u32(bytes, at + 4 * index));
        if !value.is_finite() || value <= before {
            return false;
        }
        before = value;
        index += 1;
    }
    true
}

const fn requant_problem<F: Format>(bytes: &[u8], record: &LayerRecord) -> Option<&'static str> {
    let mut row = 0;
    while row < record.rows as usize {
        let at = record.requant as usize + row * size_of::<F::Requant>();
        let valid = match F::REQUANT {
            RequantKind::None => true,
            RequantKind::Wide => WideRequant {
                multiplier: read_u32(bytes, at) as i32,
                shift: read_u32(bytes, at + 4),
            }
            .is_valid(),
            RequantKind::Narrow => NarrowRequant {
                offset: read_u32(bytes, at) as i32,
                multiplier: read_u16(bytes, at + 4) as i16,
                before: byte(bytes, at + 6),
                after: byte(bytes, at + 7),
            }
            .is_valid(),
        };
        if !valid {
            return Some("a requantization is out of range");
        }
        row += 1;
    }
    None
}
