//! Positions of everything in a model file. The parser and the writer both work from this module and no other;
//! `docs/model-format.md` says the same in prose.

/// First four bytes of every file.
pub const MAGIC: [u8; 4] = *b"aVDM";
/// Version that this crate reads and writes.
pub const VERSION: u16 = 3;
/// Every section begins at a multiple of this.
pub const ALIGNMENT: usize = 8;
/// Length of the header.
pub const HEADER_LEN: usize = 96;
/// Length of the CRC-32 (ISO-HDLC) that ends the file; it covers every byte before it.
pub const CRC_LEN: usize = 4;

/// Position of the version, `u16`.
pub const AT_VERSION: usize = 4;
/// Position of the [`FormatId`](crate::FormatId), `u8`.
pub const AT_FORMAT: usize = 6;
/// Position of the [`Prediction`](crate::schedule::Prediction), `u8`.
pub const AT_PREDICTION: usize = 7;
/// Position of the length of the file with its CRC, `u32`.
pub const AT_FILE_LEN: usize = 8;
/// Position of D, `u16`.
pub const AT_DIM: usize = 12;
/// Position of T, `u16`.
pub const AT_STEPS: usize = 14;
/// Position of the number of layers, `u16`.
pub const AT_LAYERS: usize = 16;
/// Position of the rows of the widest layer but the last, `u16`.
pub const AT_WIDTH: usize = 18;
/// Position of the number of levels of a discretized decoder in 2..=256, `u16`; 0 for the Gaussian decoder.
pub const AT_LEVELS: usize = 20;
/// Position of the flags, `u16`: [`FLAG_CLIP`], [`FLAG_SAMPLES_ONLY`], [`FLAG_NETWORK_DECODER`].
pub const AT_FLAGS: usize = 22;
/// Position of the length of the note in bytes, `u32`.
pub const AT_NOTE_LEN: usize = 52;
/// Position of the length of the read-out tables in words of two bytes, `u32`.
pub const AT_TABLE_WORDS: usize = 88;
// The positions of the sections' offsets are in `SECTIONS`. What follows them in the header is zero.

/// Flag of the header: x̂ is clipped to [−1, 1]; not with log-odds, whose read-out stays there.
pub const FLAG_CLIP: u16 = 1;
/// Flag of the header: steps have less noise than the posterior, so the model draws samples and has no ELBO.
pub const FLAG_SAMPLES_ONLY: u16 = 2;
/// Flag of the header: the network decodes z_0.
pub const FLAG_NETWORK_DECODER: u16 = 4;

/// Largest exponent of a step.
pub const MAX_EXPONENT: u8 = 15;

/// A section of the file whose offset stands in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    /// γ, as `f32`.
    Gamma,
    /// The step constants.
    Constants,
    /// The step weights, as `f32`.
    Weight,
    /// The [`EndPoints`] of the schedule.
    EndPoints,
    /// Mean, then scale of the data per dimension, as `f32`; absent with a discretized decoder.
    Affine,
    /// The layer records. The sections that they refer to come before it.
    LayerTable,
    /// Exponents of the steps, as `u8`; absent if all are 0.
    Exponents,
    /// Standard deviations per step and dimension; absent if the reverse variance is the posterior's.
    Spreads,
    /// Costs of the steps that do not depend on the data, as `f32`; absent without spreads.
    Nats,
    /// Basis of the spreads and the deviations; absent for the identity.
    Basis,
    /// Position of each step's read-out table, as `u16`; absent without log-odds.
    ReadOutIndex,
    /// The read-out tables, as `u16`; absent without log-odds.
    ReadOutTables,
    /// Constants for drawing from the network decoder of levels; absent with another decoder.
    LevelDraw,
    /// Standard deviations of the network decoder of continuous data; absent with another decoder.
    Deviations,
    /// A note in UTF-8 for the tools that made the file; no runtime reads it.
    Note,
}

/// Number of entries in a section.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// One.
    One,
    /// T + 1.
    StepsAndStart,
    /// T.
    Steps,
    /// T, and one more with the network decoder.
    Calls,
    /// D.
    Dims,
    /// T × D.
    StepsTimesDims,
    /// D × D.
    DimsSquared,
    /// Number of layers.
    Layers,
    /// Length of the note.
    NoteBytes,
    /// Length of the read-out tables.
    TableWords,
}

/// Size of an entry of a section.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// Fixed number of bytes.
    Bytes(u8),
    /// Number of step constants: `f32` or `i16` each.
    Constants(u8),
}

/// One row of the table of sections.
#[derive(Clone, Copy, Debug)]
pub struct SectionRow {
    /// The section.
    pub section: Section,
    /// Position in the header of its offset, `u32`; the offset is 0 if the section is absent.
    pub at: usize,
    /// Every file has this section.
    pub required: bool,
    /// Number of its entries.
    pub count: Count,
    /// Size of an entry.
    pub entry: Entry,
    /// Name in error messages of the field that holds the offset.
    pub field: &'static str,
}

const fn row(
    section: Section,
    (at, required): (usize, bool),
    (count, entry): (Count, Entry),
    field: &'static str,
) -> SectionRow {
    SectionRow {
        section,
        at,
        required,
        count,
        entry,
        field,
    }
}

const REQUIRED: bool = true;
const OPTIONAL: bool = false;

/// Number of sections.
pub const SECTION_COUNT: usize = 15;

/// Every section, in the order in which the writer lays them down.
#[rustfmt::skip]
pub const SECTIONS: [SectionRow; SECTION_COUNT] = {
    use Count::{Calls, Dims, DimsSquared, Layers, NoteBytes, One, Steps, StepsAndStart, StepsTimesDims, TableWords};
    use Entry::{Bytes, Constants};
    [
        row(Section::Gamma, (24, REQUIRED), (StepsAndStart, Bytes(4)), "offset of gamma"),
        row(Section::Constants, (28, REQUIRED), (StepsAndStart, Constants(8)), "offset of the step constants"),
        row(Section::Weight, (32, REQUIRED), (StepsAndStart, Bytes(4)), "offset of the step weights"),
        row(Section::EndPoints, (36, REQUIRED), (One, Bytes(24)), "offset of the end points"),
        row(Section::Affine, (40, OPTIONAL), (Dims, Bytes(8)), "offset of mean and scale"),
        row(Section::LayerTable, (44, REQUIRED), (Layers, Bytes(LAYER_LEN as u8)), "offset of the layers"),
        row(Section::Exponents, (56, OPTIONAL), (Calls, Bytes(1)), "offset of the exponents"),
        row(Section::Spreads, (60, OPTIONAL), (StepsTimesDims, Constants(1)), "offset of the spreads"),
        row(Section::Nats, (64, OPTIONAL), (Steps, Bytes(4)), "offset of the steps' costs"),
        row(Section::Basis, (68, OPTIONAL), (DimsSquared, Constants(1)), "offset of the basis"),
        row(Section::ReadOutIndex, (72, OPTIONAL), (StepsAndStart, Bytes(2)), "offset of the read-outs"),
        row(Section::ReadOutTables, (76, OPTIONAL), (TableWords, Bytes(2)), "offset of the read-out tables"),
        row(Section::LevelDraw, (80, OPTIONAL), (One, Bytes(16)), "offset of the drawing constants"),
        row(Section::Deviations, (84, OPTIONAL), (Dims, Constants(1)), "offset of the decoder's deviations"),
        row(Section::Note, (48, OPTIONAL), (NoteBytes, Bytes(1)), "offset of the note"),
    ]
};

// A section is the index of its row.
const _: () = {
    let mut index = 0;
    while index < SECTION_COUNT {
        assert!(SECTIONS[index].section as usize == index);
        index += 1;
    }
};

impl Section {
    /// Returns the section's row of the table.
    #[inline(always)]
    pub const fn row(self) -> &'static SectionRow {
        let table: &'static [SectionRow; SECTION_COUNT] = &SECTIONS;
        &table[self as usize]
    }
}

/// The end points of the schedule and the decoder, as they stand in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct EndPoints {
    /// Factor from the decoder's argument to its center: `1/α_0`, `1/(c_0·SNR_0)` for log-odds, or 1.
    pub center_scale: f32,
    /// `SNR_0`.
    pub snr: f32,
    /// `α_T²`.
    pub last_alpha_squared: f32,
    /// `−ln σ_T²`.
    pub last_log_variance: f32,
    /// `Σ_d ln deviation_d + ½ D ln 2π` in nats for the network decoder of continuous data, else 0.
    pub decoder_nats: f32,
    /// Zero.
    pub reserved: f32,
}

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
    /// Number of outputs.
    pub rows: u16,
    /// Number of inputs.
    pub columns: u16,
    /// `LAYER_*`.
    pub flags: u16,
    /// Zero.
    pub unused: u16,
    /// Offset of the weights.
    pub weights: u32,
    /// Offset of the biases.
    pub biases: u32,
    /// Offset of the requantizations; 0 if the format has none.
    pub requant: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<LayerRecord>() == LAYER_LEN);

impl LayerRecord {
    /// Reads record `index` of the table at `table`.
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

    /// Returns the record as it stands in the file.
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

/// Reads a little-endian number; bytes beyond the end count as 0 (a parsed file has none).
pub const fn read_u16(bytes: &[u8], at: usize) -> u16 {
    byte(bytes, at) as u16 | (byte(bytes, at + 1) as u16) << 8
}

/// Reads a little-endian number; bytes beyond the end count as 0.
pub const fn read_u32(bytes: &[u8], at: usize) -> u32 {
    read_u16(bytes, at) as u32 | (read_u16(bytes, at + 2) as u32) << 16
}

/// Reads a byte, or 0 beyond the end.
pub const fn byte(bytes: &[u8], at: usize) -> u8 {
    if at < bytes.len() { bytes[at] } else { 0 }
}
