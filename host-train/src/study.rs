//! Few steps at the same likelihood: the γ table and the reverse variance that cost the ELBO least.
//!
//! A trained network answers for any γ in its range, so the table of steps can be chosen after training. [`residuals`]
//! measures the error of x̂ on training rows over a fine grid of γ. The cost of a step between any two points of the
//! grid follows from it in closed form ([`cost`]). [`search`] finds the path of T steps with the least sum (Watson et
//! al. 2021).
//!
//! The two ends are searched, too. A chain may begin at more noise and leave more to the decoder, or end at less and
//! leave more to the prior, and with few steps it pays to. The reverse variance is the one that the measured error
//! asks for, per step and per dimension: in the basis of the data, or in the directions in which the errors are
//! uncorrelated ([`basis`]).

pub mod basis;
pub mod cost;
pub mod end_costs;
pub mod estimator;
pub mod gains;
pub mod paths;
pub mod refit;
pub mod residuals;
pub mod search;
mod shrink;
pub mod step_search;
pub mod table;
pub mod warm_start;
