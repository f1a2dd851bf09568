use super::{Model, ModelError, layout};
use crate::format::Format;

/// Bytes that begin at a multiple of 8, as a model's must.
#[repr(C, align(8))]
pub struct Aligned<T: ?Sized>(
    /// The bytes.
    pub T,
);

/// A model that is part of the program, checked while it compiled. Its sizes are in its type, so whatever holds
/// its buffers is sized by the compiler: `DIM` dimensions of the data, `WIDTH` rows of the widest hidden layer.
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

/// D of a file whose other bytes are checked elsewhere.
#[doc(hidden)]
pub const fn peek_dim(bytes: &[u8]) -> usize {
    layout::read_u16(bytes, layout::AT_DIM) as usize
}

/// The width of a file whose other bytes are checked elsewhere.
#[doc(hidden)]
pub const fn peek_width(bytes: &[u8]) -> usize {
    layout::read_u16(bytes, layout::AT_WIDTH) as usize
}

impl<'a, F: Format> Model<'a, F> {
    /// Whether buffers for `dim` dimensions and `width` activations are large enough.
    pub const fn fits(&self, dim: usize, width: usize) -> Result<(), ModelError> {
        if self.dim() > dim || self.width() > width {
            return Err(ModelError::Capacity {
                dim: self.header().dim,
                width: self.header().width,
            });
        }
        Ok(())
    }
}

/// Puts a model file into the program: `include_model!(pub DIGITS: W8A16 = "digits.vdm");`
///
/// This makes a `static` of type [`StaticModel`](crate::model::StaticModel) with the sizes of the model. The file
/// is checked while the program compiles (format, version, checksum, every offset); a bad one is a compile
/// error with a sentence. The path is as for [`include_bytes!`]: relative to the source file, or built with `concat!` and
/// `env!`.
///
/// ```
/// use ancestral::{Sampler, W8A16};
/// use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
///
/// ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
///
/// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
/// let mut sampler = Sampler::new(&DIGITS);
/// let digit: &[u8] = sampler.sample(&mut rng);
/// assert_eq!(digit.len(), 64);
/// assert!(digit.iter().all(|&level| level <= 16));
/// ```
///
/// A damaged file does not compile:
///
/// ```compile_fail
/// ancestral::include_model!(DIGITS: ancestral::W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
/// ```
///
/// Nor does a file in another number format than the one named:
///
/// ```compile_fail
/// ancestral::include_model!(DIGITS: ancestral::F32 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
/// ```
#[macro_export]
macro_rules! include_model {
    ($(#[$attribute:meta])* $visibility:vis $name:ident : $format:ty = $path:expr $(;)?) => {
        $(#[$attribute])*
        // The checksum of a large file takes the compiler more steps than it allows by default.
        #[allow(long_running_const_eval)]
        $visibility static $name: $crate::model::StaticModel<
            $format,
            { $crate::model::peek_dim(include_bytes!($path)) },
            { $crate::model::peek_width(include_bytes!($path)) },
        > = {
            const LENGTH: usize = include_bytes!($path).len();
            static FILE: $crate::model::Aligned<[u8; LENGTH]> = $crate::model::Aligned(*include_bytes!($path));
            $crate::model::StaticModel::new(&FILE)
        };
    };
}
