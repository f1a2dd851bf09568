//! Reports for a person to look at: pictures of samples, charts, and one self-contained page.

mod build;
mod canvas;
mod charts;
mod compared;
mod grid;
mod html;
mod input;
mod losses;
mod samples;
mod steps;
mod traces;

pub use build::{Built, ReportSource, build_report};
pub use charts::{Line, elbo_chart, gamma_chart, lines_chart, loss_chart};
pub use compared::draw_compared;
pub use grid::{Panel, write_grid};
pub use html::write_report;
pub use input::{FormatRow, ReportInput};
pub use losses::read_losses;
pub use samples::write_samples;
pub use steps::steps_chart;
pub use traces::{Traces, write_traces};
