//! A sweep: many configurations from one, by a grid or by random draws ([`points`]), trained one after another or
//! several at once ([`workers`]), with a table of their results ([`results`]).

pub mod points;
pub mod results;
pub mod workers;

pub use points::{Point, Sweep};
