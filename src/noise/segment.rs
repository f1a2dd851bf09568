//! A segment of the quantile table.

/// One segment of the inverse distribution function: `value + slope·r + curve·r²` for r in [0, 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The quantile at r = 0, Q3.28.
    pub value: i32,
    /// The linear coefficient, Q17.
    pub slope: i16,
    /// The quadratic coefficient, Q20.
    pub curve: i16,
}
