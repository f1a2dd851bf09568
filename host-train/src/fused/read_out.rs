//! The read-out of a row: the error of its estimate, the nats of its levels, and their derivatives.

mod form;
mod operands;
mod posterior;
mod row;

pub use form::ReadOut;
pub(super) use operands::{Row, RowResults};
pub(super) use row::RowReadOut;
