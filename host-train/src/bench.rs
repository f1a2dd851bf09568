//! Speed of training beside PyTorch: one network, one loss, one optimizer, the same numbers in the same order.
//!
//! Every contender is a process of its own that answers one JSON object per line ([`Partner`]): this program with its
//! fused operations and with candle's own, and PyTorch by `bench/partner.py`. They begin at the same weights, train on
//! the same batches, and take turns.

mod contest;
#[cfg(feature = "cuda")]
mod gpu;
mod partner;
mod rate;
mod serve;
mod task;
mod training;

pub use contest::{BenchRow, Contest, ContestSettings, Entry, hidden_width};
pub use partner::{Partner, Request, SCRIPT};
pub use serve::serve;
pub use task::Task;
