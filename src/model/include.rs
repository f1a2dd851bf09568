//! Models that are part of the program: what [`include_model!`](crate::include_model) makes.

use super::aligned::Aligned;
use super::layout;
use super::view::Model;
use crate::format::Format;

/// A model that is part of the program, checked while it compiled. Its sizes are in its type, so the compiler sizes
/// whatever holds its buffers: `DIM` dimensions of the data, `WIDTH` rows of the widest hidden layer.
///
/// Made by [`include_model!`](crate::include_model).
#[derive(Clone, Copy)]
pub struct StaticModel<F, const DIM: usize, const WIDTH: usize>(Model<'static, F>);

impl<F: Format, const DIM: usize, const WIDTH: usize> StaticModel<F, DIM, WIDTH> {
    /// Checks the file; in a constant, a bad file is a compile error.
    #[doc(hidden)]
    pub const fn new<const LEN: usize>(file: &'static Aligned<[u8; LEN]>) -> Self {
        match Model::check(&file.0) {
            Ok(model) => {
                assert!(
                    model.dim() == DIM && model.width() == WIDTH,
                    "the sizes named are not the model's"
                );
                Self(model)
            }
            Err(error) => panic!("{}", error.sentence()),
        }
    }

    /// The model.
    pub const fn model(&self) -> &Model<'static, F> {
        &self.0
    }
}

/// Reads D of a file whose other bytes are checked elsewhere.
#[doc(hidden)]
pub const fn peek_dim(bytes: &[u8]) -> usize {
    layout::read_u16(bytes, layout::AT_DIM) as usize
}

/// Reads the width of a file whose other bytes are checked elsewhere.
#[doc(hidden)]
pub const fn peek_width(bytes: &[u8]) -> usize {
    layout::read_u16(bytes, layout::AT_WIDTH) as usize
}
