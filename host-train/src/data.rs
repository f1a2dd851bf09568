//! Data sets: from a file, or built in, to rows that a model can learn from.
//!
//! A [`DataSpec`] is the `[data]` table of a run's configuration. [`load`] reads what it names, checks every number,
//! holds back some rows, and maps the file's units to the model's. The same specification always gives the same
//! rows on both sides, so that numbers of different runs can be compared.
//!
//! ```
//! use host_train::data::{self, DataSpec};
//!
//! let split = data::load(&DataSpec::new("digits"), ".".as_ref())?;
//! assert_eq!((split.train.len(), split.test.len(), split.train.dim), (1500, 297, 64));
//! assert!(split.train.rows.iter().all(|x| (-1.0..=1.0).contains(x)));
//! # Ok::<(), data::DataError>(())
//! ```
//!
//! A file format is a module with a `read` function and a row in the table of `readers`.

pub mod builtin;
mod csv;
mod dataset;
mod error;
mod fields;
mod label;
mod load;
pub mod mixture;
mod normalize;
mod npy;
mod one_or_many;
mod options;
mod paths;
mod read_report;
mod readers;
mod row_count;
mod spec;
mod spec_check;
mod split;
mod suspicions;
mod table;
mod text;

pub use dataset::{Dataset, Split, ValueKind};
pub use error::{DataError, Field, LevelFault};
pub use label::LabelColumn;
pub use load::{load, load_more_rows, load_rows};
pub use read_report::ReadReport;
pub use row_count::RowCount;
pub use spec::DataSpec;
pub use table::Origin;
