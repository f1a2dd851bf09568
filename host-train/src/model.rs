//! What is trained: the network, the schedule and the reverse variance, as parameters of candle.

pub mod gamma;
pub mod network;
pub mod parameter;
pub mod variance;
