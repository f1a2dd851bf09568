//! The core on the desktop: reads, scores, samples and compares exported models.

pub mod compare;
pub mod data_distance;
pub mod distance;
pub mod evaluate;
pub mod model_file;
pub mod raw_rows;
pub mod sample;
pub mod sample_variance;
pub mod scores;
pub mod units;
