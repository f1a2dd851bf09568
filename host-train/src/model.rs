//! The parts of a model as parameters of candle: the network, the read-out, the schedule and the reverse
//! variance.

pub mod gain;
pub mod gamma;
pub mod network;
pub mod parameter;
pub mod read_out;
pub mod variance;
