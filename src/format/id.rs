//! The list of number formats, and the codes that stand for them in a file.

/// Calls a macro with the list of all number formats, from the most exact to the smallest. Everything that depends on
/// which formats exist is made from this one list.
///
/// `for_each_format!(callback, context…)` expands to `callback! { context… rows }`. Each row has the form
/// `/// doc` `Type = code, "name", kind;`, where `kind` is `float` or `integer`. The callback is a name or a path.
///
/// ```
/// macro_rules! names {
///     ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
///         [$($name),*]
///     };
/// }
/// assert_eq!(ancestral::for_each_format!(names), ["f32", "f16", "w8a16", "w8a8", "w4a8"]);
/// ```
#[macro_export]
macro_rules! for_each_format {
    ($($callback:ident)::+ $(, $($context:tt)*)?) => {
        $($callback)::+! {
            $($($context)*)?
            /// `f32` weights and activations.
            F32 = 0, "f32", float;
            /// `f16` weights, `f32` activations.
            F16 = 1, "f16", float;
            /// `i8` weights, `i16` activations.
            W8A16 = 2, "w8a16", integer;
            /// `i8` weights, 8-bit activations, 16 bits in and out.
            W8A8 = 3, "w8a8", integer;
            /// 4-bit weights (8-bit ones in layers that are not packed), 8-bit activations, 16 bits in and out.
            W4A8 = 4, "w4a8", integer;
        }
    };
}

macro_rules! is_integer {
    (float) => {
        false
    };
    (integer) => {
        true
    };
}

macro_rules! format_ids {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        /// Code of a number format in a model file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum FormatId {
            $($(#[$doc])* $format = $code,)*
        }

        impl FormatId {
            /// Every format of this version, from the most exact to the smallest.
            pub const ALL: &'static [FormatId] = &[$(Self::$format),*];

            /// Returns the format with this code.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$format),)*
                    _ => None,
                }
            }

            /// Name in file names, on the command line and in tables.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$format => $name,)*
                }
            }

            /// Name of the type in this crate, for generated code.
            pub const fn type_name(self) -> &'static str {
                match self {
                    $(Self::$format => stringify!($format),)*
                }
            }

            /// Returns whether the network and the sampler compute with integers alone.
            pub const fn is_integer(self) -> bool {
                match self {
                    $(Self::$format => is_integer!($kind),)*
                }
            }
        }
    };
}

for_each_format!(format_ids);

impl core::fmt::Display for FormatId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
