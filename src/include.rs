//! The macro `include_model!`.

/// Puts a model file into the program: `include_model!(pub DIGITS: W8A16 = "digits.vdm");`
///
/// This makes a `static` of type [`StaticModel`](crate::model::StaticModel) with the sizes of the model. The file is
/// checked while the program compiles (format, version, checksum, every offset); a bad one is a compile error with a
/// sentence. The path is as for [`include_bytes!`]: relative to the source file, or built with `concat!` and `env!`.
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
/// ancestral::include_model!(
///     DIGITS: ancestral::F32 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm")
/// );
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
