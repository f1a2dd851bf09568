//! The command line: arguments and printing.

mod args;
mod bench;
mod command;
mod compare;
mod distance;
mod distill;
mod evaluate;
mod export;
pub mod failure;
mod fit;
mod interrupt;
mod loss_variance;
mod print;
mod quantize;
mod report;
mod rows;
mod sample;
mod steps;
mod sweep;
mod train;

pub use command::Cli;
