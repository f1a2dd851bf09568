//! Puts the model, the number of samples and the board's memory where the firmware finds them.

use firmware_build::script;

fn main() {
    script::run(|| {
        script::place_model("../../models/digits-t8-w8a16.vdm")?;
        script::place_settings()?;
        if std::env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            println!("cargo::rustc-link-arg=-Tdefmt.x");
        }
        // The MPS2 board with image AN386. A board of your own has its `memory.x` beside this file:
        // script::link_with_file("memory.x")
        script::link_for_machine()
    });
}
