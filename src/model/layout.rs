//! Where everything stands in a model file. The parser and the writer both read this page and no other;
//! `docs/model-format.md` says the same in prose.

/// First four bytes of every file.
pub const MAGIC: [u8; 4] = *b"aVDM";
/// The version this crate reads and writes.
pub const VERSION: u16 = 2;
/// Every section begins at a multiple of this.
pub const ALIGNMENT: usize = 8;
/// Length of the header.
pub const HEADER_LEN: usize = 96;
/// Length of the CRC-32 (ISO-HDLC) that ends the file; it covers every byte before it.
pub const CRC_LEN: usize = 4;

/// `u16`.
pub const AT_VERSION: usize = 4;
/// `u8`, [`FormatId`](crate::FormatId).
pub const AT_FORMAT: usize = 6;
/// `u8`, [`Prediction`](crate::schedule::Prediction).
pub const AT_PREDICTION: usize = 7;
/// `u32`, length of the file with its CRC.
pub const AT_FILE_LEN: usize = 8;
/// `u16`, D.
pub const AT_DIM: usize = 12;
/// `u16`, T.
pub const AT_STEPS: usize = 14;
/// `u16`, number of layers.
pub const AT_LAYERS: usize = 16;
/// `u16`, rows of the widest layer but the last.
pub const AT_WIDTH: usize = 18;
/// `u16`, levels of a discretised decoder in 2..=256; 0 for the Gaussian one.
pub const AT_LEVELS: usize = 20;
/// `u16`, bit 0: clip x̂ to [−1, 1]; bit 1: samples only.
pub const AT_FLAGS: usize = 22;
/// `u32`, offset of γ: `f32 × (T + 1)`.
pub const AT_GAMMA: usize = 24;
/// `u32`, offset of the step constants: `[f32 or i16; 8] × (T + 1)`.
pub const AT_CONSTANTS: usize = 28;
/// `u32`, offset of the step weights: `f32 × (T + 1)`.
pub const AT_WEIGHT: usize = 32;
/// `u32`, offset of the end points: `1/α_0, SNR_0, α_T², −ln σ_T²` as `f32`.
pub const AT_ENDS: usize = 36;
/// `u32`, offset of the data's mean and scale: `f32 × 2D`; 0 with a discretised decoder.
pub const AT_AFFINE: usize = 40;
/// `u32`, offset of the layer records.
pub const AT_LAYER_TABLE: usize = 44;

/// `u32`, offset of a note in UTF-8 for the tools that made the file; 0 if there is none. No runtime reads it.
pub const AT_NOTE: usize = 48;
/// `u32`, length of the note in bytes.
pub const AT_NOTE_LEN: usize = 52;

/// `u32`, offset of the steps' exponents: `u8 × T`; 0 if all are 0.
pub const AT_EXPONENTS: usize = 56;
/// `u32`, offset of the standard deviations per step and dimension: `[f32 or i16] × T × D`; 0 if the reverse variance is the posterior's.
pub const AT_SPREADS: usize = 60;
/// `u32`, offset of the steps' costs that do not depend on the data: `f32 × T`; 0 without spreads.
pub const AT_NATS: usize = 64;
/// `u32`, offset of the basis of the spreads: `[f32 or i16] × D × D`; 0 for the identity.
pub const AT_BASIS: usize = 68;
// What follows in the header is zero.

/// The largest exponent of a step.
pub const MAX_EXPONENT: u8 = 15;

/// Flag of the header: x̂ is clipped.
pub const FLAG_CLIP: u16 = 1;
/// Flag of the header: steps have less noise than the posterior, so the model draws samples and has no ELBO.
pub const FLAG_SAMPLES_ONLY: u16 = 2;

/// Length of the end-point section.
pub const ENDS_LEN: usize = 16;
/// Length of a layer record.
pub const LAYER_LEN: usize = 24;
/// Flag of a layer: rectifier.
pub const LAYER_RELU: u16 = 1;
/// Flag of a layer: the input is added to the output.
pub const LAYER_RESIDUAL: u16 = 2;
/// Flag of a layer: one row of biases per step.
pub const LAYER_PER_STEP: u16 = 4;
/// Flag of a layer: two 4-bit weights to a byte.
pub const LAYER_PACKED: u16 = 8;

/// One layer record: `rows, columns, flags, 0` as `u16`, then three offsets as `u32`, then four zero bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct LayerRecord {
    /// Outputs.
    pub rows: u16,
    /// Inputs.
    pub columns: u16,
    /// `LAYER_*`.
    pub flags: u16,
    /// Zero.
    pub unused: u16,
    /// Offset of the weights.
    pub weights: u32,
    /// Offset of the biases.
    pub biases: u32,
    /// Offset of the requantisations; 0 where the format has none.
    pub requant: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<LayerRecord>() == LAYER_LEN);

impl LayerRecord {
    /// Record `index` of the table at `table`.
    pub const fn read(bytes: &[u8], table: usize, index: usize) -> Self {
        let at = table + index * LAYER_LEN;
        Self {
            rows: read_u16(bytes, at),
            columns: read_u16(bytes, at + 2),
            flags: read_u16(bytes, at + 4),
            unused: 0,
            weights: read_u32(bytes, at + 8),
            biases: read_u32(bytes, at + 12),
            requant: read_u32(bytes, at + 16),
            reserved: 0,
        }
    }

    /// The record as it stands in the file.
    pub fn to_bytes(self) -> [u8; LAYER_LEN] {
        bytemuck::must_cast(self)
    }
}

/// Overwrites `out[at..]` with `value`, as far as it fits.
pub fn write_at(out: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in out.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}

/// Little-endian; bytes beyond the end read as 0 (a parsed file has none).
pub const fn read_u16(bytes: &[u8], at: usize) -> u16 {
    byte(bytes, at) as u16 | (byte(bytes, at + 1) as u16) << 8
}

/// Little-endian; bytes beyond the end read as 0.
pub const fn read_u32(bytes: &[u8], at: usize) -> u32 {
    read_u16(bytes, at) as u32 | (read_u16(bytes, at + 2) as u32) << 16
}

/// 0 beyond the end.
pub const fn byte(bytes: &[u8], at: usize) -> u8 {
    if at < bytes.len() { bytes[at] } else { 0 }
}
