//! Greatest depth of the stack, found by painting it.

use core::arch::asm;
use core::ptr;

/// Pattern that the stack is painted with.
const PAINT: u32 = 0xC0FF_EE11;
/// Size of the painted stack, in words: more than any sampler needs.
const WORDS: usize = 2048;
/// Words that are left alone below the painter's own frame.
const MARGIN: usize = 8;

/// The bytes of stack that `work` uses, with everything it calls.
#[inline(never)]
pub fn deepest(work: impl FnOnce()) -> usize {
    let top: *mut u32;
    // SAFETY: reads the stack pointer.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov {}, sp", out(reg) top, options(nomem, nostack));
        #[cfg(target_arch = "riscv32")]
        asm!("mv {}, sp", out(reg) top, options(nomem, nostack));
    }
    let word = |depth: usize| top.wrapping_sub(depth);
    for depth in MARGIN..WORDS {
        // SAFETY: below the stack pointer is memory that nothing uses: the machines of this firmware have megabytes of
        // it, and no interrupt is on. The stack pointer is a multiple of four.
        unsafe { ptr::write_volatile(word(depth), PAINT) };
    }
    work();
    let clean = (MARGIN..WORDS)
        .rev()
        // SAFETY: as above; it was written there.
        .take_while(|&depth| unsafe { ptr::read_volatile(word(depth)) } == PAINT)
        .count();
    4 * (WORDS - 1 - clean)
}
