//! The header of a model file: everything that does not depend on the number format.

use super::error::ModelError;
use super::layout::{
    self, CRC_LEN, Count, Entry, HEADER_LEN, SECTION_COUNT, SECTIONS, Section, SectionRow, read_u16, read_u32,
};
use crate::format::FormatId;
use crate::schedule::Prediction;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// Returns the CRC-32 (ISO-HDLC, the one of zip and PNG).
pub(super) const fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// The header of a model file, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Number format of the weights.
    pub format: FormatId,
    /// Quantity that the network's output estimates.
    pub prediction: Prediction,
    /// D, dimensions of the data.
    pub dim: u16,
    /// T, number of steps.
    pub steps: u16,
    /// Number of layers.
    pub layers: u16,
    /// Rows of the widest layer but the last.
    pub width: u16,
    /// Number of levels of the data in 2..=256, or 0 if it is continuous.
    pub levels: u16,
    /// x̂ is clipped to [−1, 1].
    pub clip: bool,
    /// The decoder is the network, which is run once more, at t = 0.
    pub network_decoder: bool,
    /// Steps have less noise than the posterior: the model draws samples and has no ELBO.
    pub samples_only: bool,
    /// Length of the file in bytes.
    pub file_len: u32,
    note_len: u32,
    table_words: u32,
    offsets: [u32; SECTION_COUNT],
}

impl Header {
    /// Reads and checks everything that does not depend on the number format: magic, version, length, checksum and
    /// header fields. For the desktop, which must find out the format before it can name it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ancestral::{FormatId, model::Header};
    /// let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"))?;
    /// let header = Header::read(&file)?;
    /// assert_eq!((header.format, header.dim, header.steps), (FormatId::W8A16, 64, 64));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ModelError::NotAModel`], [`Truncated`](ModelError::Truncated), [`Version`](ModelError::Version),
    /// [`Checksum`](ModelError::Checksum), [`UnknownFormat`](ModelError::UnknownFormat) or
    /// [`Field`](ModelError::Field), in the order in which they are checked.
    pub const fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() < 4 || !matches!([bytes[0], bytes[1], bytes[2], bytes[3]], layout::MAGIC) {
            return Err(ModelError::NotAModel);
        }
        let found = if bytes.len() > u32::MAX as usize {
            u32::MAX
        } else {
            bytes.len() as u32
        };
        let least = (HEADER_LEN + CRC_LEN) as u32;
        if found < least {
            return Err(ModelError::Truncated { expected: least, found });
        }
        let version = read_u16(bytes, layout::AT_VERSION);
        if version != layout::VERSION {
            return Err(ModelError::Version { found: version });
        }
        let file_len = read_u32(bytes, layout::AT_FILE_LEN);
        if file_len < least {
            return Err(ModelError::Field { name: "file length" });
        }
        // A flash partition may be longer than the model in it; never shorter.
        if found < file_len {
            return Err(ModelError::Truncated {
                expected: file_len,
                found,
            });
        }
        let end = file_len as usize - CRC_LEN;
        let (covered, _) = bytes.split_at(end);
        let stored = read_u32(bytes, end);
        let computed = checksum(covered);
        if stored != computed {
            return Err(ModelError::Checksum { stored, computed });
        }
        match Self::fields(bytes, file_len) {
            Ok(header) => header.checked(read_u16(bytes, layout::AT_FLAGS)),
            Err(error) => Err(error),
        }
    }

    const fn fields(bytes: &[u8], file_len: u32) -> Result<Self, ModelError> {
        let code = layout::byte(bytes, layout::AT_FORMAT);
        let Some(format) = FormatId::from_code(code) else {
            return Err(ModelError::UnknownFormat { code });
        };
        let levels = read_u16(bytes, layout::AT_LEVELS);
        let Some(prediction) = Prediction::from_code(layout::byte(bytes, layout::AT_PREDICTION), levels) else {
            return Err(ModelError::Field { name: "prediction" });
        };
        let mut offsets = [0; SECTION_COUNT];
        let mut index = 0;
        while index < SECTION_COUNT {
            offsets[index] = read_u32(bytes, SECTIONS[index].at);
            index += 1;
        }
        Ok(Self {
            format,
            prediction,
            dim: read_u16(bytes, layout::AT_DIM),
            steps: read_u16(bytes, layout::AT_STEPS),
            layers: read_u16(bytes, layout::AT_LAYERS),
            width: read_u16(bytes, layout::AT_WIDTH),
            levels,
            clip: read_u16(bytes, layout::AT_FLAGS) & layout::FLAG_CLIP != 0,
            network_decoder: read_u16(bytes, layout::AT_FLAGS) & layout::FLAG_NETWORK_DECODER != 0,
            samples_only: read_u16(bytes, layout::AT_FLAGS) & layout::FLAG_SAMPLES_ONLY != 0,
            file_len,
            note_len: read_u32(bytes, layout::AT_NOTE_LEN),
            table_words: read_u32(bytes, layout::AT_TABLE_WORDS),
            offsets,
        })
    }

    /// The header, if its fields make sense.
    const fn checked(self, flags: u16) -> Result<Self, ModelError> {
        let known = layout::FLAG_CLIP | layout::FLAG_SAMPLES_ONLY | layout::FLAG_NETWORK_DECODER;
        let odds = matches!(self.prediction, Prediction::Odds { .. });
        let name = if flags & !known != 0 || (odds && self.clip) {
            "flags"
        } else if self.dim == 0 {
            "dimensions"
        } else if self.steps == 0 {
            "steps"
        } else if self.layers == 0 {
            "layers"
        } else if self.levels == 1 || self.levels > 256 {
            "levels"
        } else if (self.levels == 0) != self.has(Section::Affine) {
            "mean and scale"
        } else if odds != self.has(Section::ReadOutTables) || odds != self.has(Section::ReadOutIndex) {
            "read-out tables"
        } else if self.network_decoder && self.levels != 0 && !odds {
            "prediction"
        } else if (self.network_decoder && self.levels != 0) != self.has(Section::LevelDraw)
            || (self.network_decoder && self.levels == 0) != self.has(Section::Deviations)
        {
            "decoder"
        } else {
            return Ok(self);
        };
        Err(ModelError::Field { name })
    }

    /// Number of times that a whole sample or ELBO runs the network: T, and one more with the network decoder.
    pub const fn calls(&self) -> usize {
        self.steps as usize + self.network_decoder as usize
    }

    /// Returns the smallest step that the network is run at: 0 for the network decoder, else 1.
    pub(super) const fn first_call(&self) -> usize {
        !self.network_decoder as usize
    }

    /// Offset of a section, or 0 if it is absent.
    #[inline(always)]
    pub(super) const fn offset(&self, section: Section) -> u32 {
        self.offsets[section as usize]
    }

    /// Returns whether the file has a section.
    #[inline(always)]
    pub(super) const fn has(&self, section: Section) -> bool {
        self.offset(section) != 0
    }

    /// Three factors whose product is the length of a section in bytes. The product may exceed 32 bits until it has
    /// been checked.
    ///
    /// * `constant`: bytes of a step constant.
    #[inline(always)]
    pub(super) const fn length_factors(&self, row: &SectionRow, constant: usize) -> [u32; 3] {
        let (dim, steps) = (self.dim as u32, self.steps as u32);
        let [first, second] = match row.count {
            Count::One => [1, 1],
            Count::StepsAndStart => [steps + 1, 1],
            Count::Steps => [steps, 1],
            Count::Calls => [self.calls() as u32, 1],
            Count::Dims => [dim, 1],
            Count::StepsTimesDims => [steps, dim],
            Count::DimsSquared => [dim, dim],
            Count::Layers => [self.layers as u32, 1],
            Count::NoteBytes => [self.note_len, 1],
            Count::TableWords => [self.table_words, 1],
        };
        let entry = match row.entry {
            Entry::Bytes(bytes) => bytes as u32,
            Entry::Constants(count) => count as u32 * constant as u32,
        };
        [first, second, entry]
    }

    /// Returns whether `length` bytes at `offset` lie, aligned, between the header and the checksum.
    pub(super) const fn holds(&self, offset: u32, length: u64) -> bool {
        let end = self.file_len as u64 - CRC_LEN as u64;
        offset >= HEADER_LEN as u32
            && (offset as usize).is_multiple_of(layout::ALIGNMENT)
            && offset as u64 + length <= end
    }
}
