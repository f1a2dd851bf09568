//! The desktop's kernel on the matrices that every emulated core compares its own on.

#[path = "parity/kernels.rs"]
mod kernels;

#[test]
fn this_builds_kernel_equals_the_portable_one() {
    let compared = kernels::compare().unwrap_or_else(|difference| panic!("{difference}"));
    assert!(compared.cases > 600 && compared.taken > 0, "{}", compared.taken);
}
