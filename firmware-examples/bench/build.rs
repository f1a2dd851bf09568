//! Puts the machine's memory where the linker finds it, and the model where the program does. `ANCESTRAL_MACHINE` says
//! which machine, `ANCESTRAL_MODEL` which model; `ANCESTRAL_EMPTY` leaves the sampler out.

use firmware_build::script;

fn main() {
    script::run(|| {
        println!("cargo::rustc-check-cfg=cfg(bench_empty)");
        if script::variable("ANCESTRAL_EMPTY")?.is_some() {
            println!("cargo::rustc-cfg=bench_empty");
        }
        script::place_model("../../models/digits-t64-w8a16.vdm")?;
        script::link_for_machine()
    });
}
