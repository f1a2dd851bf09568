//! Real numbers in which the formulas are written: `f32` on a device, `f64` on the host.

use core::ops::{Add, Div, Mul, Neg, Sub};

/// Number type in which formulas are computed: `f32` or `f64`. The transcendental functions come from `libm`, so
/// they give the same bits on every machine.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// Returns the nearest value to a constant.
    fn from_f64(value: f64) -> Self;
    /// Widens to `f64`.
    fn widen(self) -> f64;
    /// eˣ.
    fn exp(self) -> Self;
    /// eˣ − 1 without cancellation.
    fn exp_m1(self) -> Self;
    /// ln(1 + x) without cancellation.
    fn ln_1p(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// ln x.
    fn ln(self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// Returns whether the value is neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

macro_rules! real {
    ($t:ty, $exp:path, $expm1:path, $log1p:path, $sqrt:path, $ln:path, $fabs:path) => {
        impl Real for $t {
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            fn widen(self) -> f64 {
                self as f64
            }
            fn exp(self) -> Self {
                $exp(self)
            }
            fn exp_m1(self) -> Self {
                $expm1(self)
            }
            fn ln_1p(self) -> Self {
                $log1p(self)
            }
            fn sqrt(self) -> Self {
                $sqrt(self)
            }
            fn ln(self) -> Self {
                $ln(self)
            }
            fn abs(self) -> Self {
                $fabs(self)
            }
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
        }
    };
}
real!(
    f32,
    libm::expf,
    libm::expm1f,
    libm::log1pf,
    libm::sqrtf,
    libm::logf,
    libm::fabsf
);
real!(
    f64,
    libm::exp,
    libm::expm1,
    libm::log1p,
    libm::sqrt,
    libm::log,
    libm::fabs
);
