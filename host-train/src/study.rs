//! Few steps at the same likelihood: which γ table, and which reverse variance, cost the ELBO least.
//!
//! A trained network answers for any γ in its range, so the table of steps can be chosen after training. [`residuals`] measures the error of x̂ on
//! training rows over a fine grid of γ; the cost of a step between any two points of the grid follows from it in closed form; [`search`] finds the path
//! of T steps with the least sum (Watson et al. 2021), its two ends included: a chain may begin at more noise and leave more to the decoder, or end
//! at less and leave more to the prior, and with few steps it pays to. The reverse variance is the one that the measured error asks for, per step and per
//! dimension, in the pixels' own basis or in the directions in which the errors are uncorrelated ([`basis`]).

pub mod basis;
pub mod cost;
pub mod ends;
pub mod estimator;
pub mod paths;
pub mod residuals;
pub mod search;
mod shrink;
pub mod step_search;
pub mod table;
