//! The program as a person uses it, and its error sentences.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod few;
mod fit;
mod misread;
mod progress;
mod rows;
mod scores;
mod support;
mod training;
mod whole;
