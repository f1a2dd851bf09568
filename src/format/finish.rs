//! The end of a row that formats share.

use crate::number::Number;

/// Rectifies and adds the residual input, for formats whose activations have the type of the state.
#[inline(always)]
pub(super) fn activate<N: Number>(sum: N, relu: bool, skip: Option<N>) -> N {
    let y = sum.rectified(relu);
    match skip {
        Some(x) => x.plus(y),
        None => y,
    }
}
