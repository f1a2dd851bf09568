//! Puts the machine's memory where the linker finds it. `ANCESTRAL_MACHINE` says which machine.

use firmware_build::script;

fn main() {
    script::run(script::link_for_machine);
}
