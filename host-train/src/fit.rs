//! From data to model files and a report: the whole way as one function, [`fit()`].

pub mod open;
pub mod pipeline;
pub mod training;

pub use open::{OpenRun, RunRequest, Start, open_run};
pub use pipeline::{Fitted, FittedModel, ModelPlan, fit};
pub use training::{report_reading, train_run};
