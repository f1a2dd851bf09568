//! Inner products. The portable ones are the reference that every faster one must equal.

pub mod portable;
