use super::layout::{self, LayerRecord, byte, read_u16, read_u32};
use super::{Model, ModelError, row_len};
use crate::fixed::{NarrowRequant, WideRequant};
use crate::format::{Format, FormatId, RequantKind};
use crate::number::Number;
use crate::schedule::Prediction;
use core::marker::PhantomData;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// CRC-32 (ISO-HDLC, the one of zip and PNG).
pub(super) const fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// The header of a model file, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Number format of the weights.
    pub format: FormatId,
    /// What the network's output estimates.
    pub prediction: Prediction,
    /// D, dimensions of the data.
    pub dim: u16,
    /// T, number of steps.
    pub steps: u16,
    /// Number of layers.
    pub layers: u16,
    /// Rows of the widest layer but the last.
    pub width: u16,
    /// Levels of the data in 2..=256, or 0 where it is continuous.
    pub levels: u16,
    /// x̂ is clipped to [−1, 1].
    pub clip: bool,
    /// Its steps have less noise than the posterior: it draws samples and has no ELBO.
    pub samples_only: bool,
    /// Length of the file in bytes.
    pub file_len: u32,
    pub(super) gamma: u32,
    pub(super) constants: u32,
    pub(super) weight: u32,
    pub(super) ends: u32,
    pub(super) affine: u32,
    pub(super) layer_table: u32,
    pub(super) note: u32,
    pub(super) note_len: u32,
    pub(super) exponents: u32,
    pub(super) spreads: u32,
    pub(super) nats: u32,
    pub(super) basis: u32,
}

impl Header {
    /// Reads and checks everything that does not depend on the number format: magic, version, length, checksum,
    /// header fields. For the desktop, which must find out the format before it can name it.
    pub const fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() < 4 || !matches!([bytes[0], bytes[1], bytes[2], bytes[3]], layout::MAGIC) {
            return Err(ModelError::NotAModel);
        }
        let found = if bytes.len() > u32::MAX as usize {
            u32::MAX
        } else {
            bytes.len() as u32
        };
        if bytes.len() < layout::HEADER_LEN + layout::CRC_LEN {
            return Err(ModelError::Truncated {
                expected: (layout::HEADER_LEN + layout::CRC_LEN) as u32,
                found,
            });
        }
        let version = read_u16(bytes, layout::AT_VERSION);
        if version != layout::VERSION {
            return Err(ModelError::Version { found: version });
        }
        let file_len = read_u32(bytes, layout::AT_FILE_LEN);
        if file_len < (layout::HEADER_LEN + layout::CRC_LEN) as u32 {
            return Err(ModelError::Field { name: "file length" });
        }
        // A flash partition may be longer than the model in it; never shorter.
        if found < file_len {
            return Err(ModelError::Truncated {
                expected: file_len,
                found,
            });
        }
        let end = file_len as usize - layout::CRC_LEN;
        let (covered, _) = bytes.split_at(end);
        let stored = read_u32(bytes, end);
        let computed = checksum(covered);
        if stored != computed {
            return Err(ModelError::Checksum { stored, computed });
        }
        Self::fields(bytes, file_len)
    }

    const fn fields(bytes: &[u8], file_len: u32) -> Result<Self, ModelError> {
        let code = layout::byte(bytes, layout::AT_FORMAT);
        let Some(format) = FormatId::from_code(code) else {
            return Err(ModelError::UnknownFormat { code });
        };
        let Some(prediction) = Prediction::from_code(layout::byte(bytes, layout::AT_PREDICTION)) else {
            return Err(ModelError::Field { name: "prediction" });
        };
        let header = Self {
            format,
            prediction,
            dim: read_u16(bytes, layout::AT_DIM),
            steps: read_u16(bytes, layout::AT_STEPS),
            layers: read_u16(bytes, layout::AT_LAYERS),
            width: read_u16(bytes, layout::AT_WIDTH),
            levels: read_u16(bytes, layout::AT_LEVELS),
            clip: read_u16(bytes, layout::AT_FLAGS) & layout::FLAG_CLIP != 0,
            samples_only: read_u16(bytes, layout::AT_FLAGS) & layout::FLAG_SAMPLES_ONLY != 0,
            file_len,
            gamma: read_u32(bytes, layout::AT_GAMMA),
            constants: read_u32(bytes, layout::AT_CONSTANTS),
            weight: read_u32(bytes, layout::AT_WEIGHT),
            ends: read_u32(bytes, layout::AT_ENDS),
            affine: read_u32(bytes, layout::AT_AFFINE),
            layer_table: read_u32(bytes, layout::AT_LAYER_TABLE),
            note: read_u32(bytes, layout::AT_NOTE),
            note_len: read_u32(bytes, layout::AT_NOTE_LEN),
            exponents: read_u32(bytes, layout::AT_EXPONENTS),
            spreads: read_u32(bytes, layout::AT_SPREADS),
            nats: read_u32(bytes, layout::AT_NATS),
            basis: read_u32(bytes, layout::AT_BASIS),
        };
        if read_u16(bytes, layout::AT_FLAGS) & !(layout::FLAG_CLIP | layout::FLAG_SAMPLES_ONLY) != 0 {
            return Err(ModelError::Field { name: "flags" });
        }
        if header.dim == 0 {
            return Err(ModelError::Field { name: "dimensions" });
        }
        if header.steps == 0 {
            return Err(ModelError::Field { name: "steps" });
        }
        if header.layers == 0 {
            return Err(ModelError::Field { name: "layers" });
        }
        if header.levels == 1 || header.levels > 256 {
            return Err(ModelError::Field { name: "levels" });
        }
        if (header.levels == 0) != (header.affine != 0) {
            return Err(ModelError::Field { name: "mean and scale" });
        }
        Ok(header)
    }
}

impl<'a, F: Format> Model<'a, F> {
    /// Checks a model that lies in memory. Nothing is copied: the weights are used where they are.
    ///
    /// * `bytes`: the file, beginning at a multiple of 8; what follows its end (in a flash partition) is ignored.
    ///
    /// Errors say what is wrong with the file; see [`ModelError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        if !(bytes.as_ptr() as usize).is_multiple_of(layout::ALIGNMENT) {
            return Err(ModelError::Misaligned);
        }
        Self::check(bytes)
    }

    /// Everything but the alignment, which a constant expression cannot see.
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
        let entries = header.steps as u64 + 1;
        let constants = 8 * size_of::<<F::Number as Number>::Constant>() as u64;
        if !header.holds(header.gamma, 4 * entries) {
            return Err(ModelError::Field {
                name: "offset of gamma",
            });
        }
        if !increases(bytes, header.gamma as usize, entries as usize) {
            return Err(ModelError::Field { name: "gamma" });
        }
        if !header.holds(header.constants, constants * entries) {
            return Err(ModelError::Field {
                name: "offset of the step constants",
            });
        }
        if !header.holds(header.weight, 4 * entries) {
            return Err(ModelError::Field {
                name: "offset of the step weights",
            });
        }
        if !header.holds(header.ends, layout::ENDS_LEN as u64) {
            return Err(ModelError::Field {
                name: "offset of the end points",
            });
        }
        if header.affine != 0 && !header.holds(header.affine, 8 * header.dim as u64) {
            return Err(ModelError::Field {
                name: "offset of mean and scale",
            });
        }
        if !header.holds(header.layer_table, header.layers as u64 * layout::LAYER_LEN as u64) {
            return Err(ModelError::Field {
                name: "offset of the layers",
            });
        }
        if header.note != 0 && !header.holds(header.note, header.note_len as u64) {
            return Err(ModelError::Field {
                name: "offset of the note",
            });
        }
        if header.exponents != 0 && !header.holds(header.exponents, header.steps as u64) {
            return Err(ModelError::Field {
                name: "offset of the exponents",
            });
        }
        let mut step = 0;
        while header.exponents != 0 && step < header.steps as usize {
            if byte(bytes, header.exponents as usize + step) > layout::MAX_EXPONENT {
                return Err(ModelError::Field { name: "exponents" });
            }
            step += 1;
        }
        if header.exponents != 0 && matches!(F::REQUANT, RequantKind::None) {
            return Err(ModelError::Field { name: "exponents" });
        }
        let constant = constants / 8;
        let (dim, steps) = (header.dim as u64, header.steps as u64);
        if header.spreads != 0 && !header.holds(header.spreads, constant * dim * steps) {
            return Err(ModelError::Field {
                name: "offset of the spreads",
            });
        }
        if (header.spreads != 0) != (header.nats != 0) || (header.nats != 0 && !header.holds(header.nats, 4 * steps)) {
            return Err(ModelError::Field {
                name: "offset of the steps' costs",
            });
        }
        if header.samples_only && header.spreads != 0 {
            return Err(ModelError::Field { name: "flags" });
        }
        if header.basis != 0 && (header.spreads == 0 || !header.holds(header.basis, constant * dim * dim)) {
            return Err(ModelError::Field {
                name: "offset of the basis",
            });
        }
        let mut index = 0;
        let mut columns = header.dim;
        while index < header.layers {
            let record = LayerRecord::read(bytes, header.layer_table as usize, index as usize);
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
    /// Whether `length` bytes at `offset` lie, aligned, between the header and the checksum.
    const fn holds(&self, offset: u32, length: u64) -> bool {
        let end = self.file_len as u64 - layout::CRC_LEN as u64;
        offset >= layout::HEADER_LEN as u32
            && (offset as usize).is_multiple_of(layout::ALIGNMENT)
            && offset as u64 + length <= end
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
            rows * self.steps as u64
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
            Some("its requantisations lie outside the file")
        } else {
            None
        }
    }
}

/// Whether `count` floats are finite and each is above the one before.
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
            return Some("a requantisation is out of range");
        }
        row += 1;
    }
    None
}
