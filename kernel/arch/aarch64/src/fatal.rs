// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Exceptions in the kernel itself, and those that can't be: the module ends. (An SError that comes
//! while a partition runs or the core idles is the health table's, see `core_block.rs`.)

use crate::console;
use crate::halt;
use aarch64_cpu::registers::{ELR_EL2, ESR_EL2, FAR_EL2, MPIDR_EL1, Readable, SPSR_EL2};
use parzelle_core::machine::Halt;

/// What the vectors mean, by number (Arm ARM D1.3.1.5).
const KINDS: [&str; 4] = ["synchronous exception", "interrupt", "fast interrupt", "SError"];

/// The name of a vector: what, and from where.
fn name(vector: u64) -> (&'static str, &'static str) {
    let what = KINDS.get(vector as usize & 3).copied().unwrap_or("");
    (what, if vector < 8 { "in the kernel" } else { "in a partition" })
}

/// Prints what is known and ends the module.
///
/// # Safety
/// Only for trap.S, on the stack for this.
#[unsafe(export_name = "parzelle_on_fatal")]
unsafe extern "C" fn on_fatal(vector: u64, frame_pointer: u64, stack: u64, link: u64) -> ! {
    let (what, place) = name(vector);
    console::print(format_args!(
        "parzelle: {what} {place}, core {:#x}\n\
         parzelle: esr {:#x} far {:#x} elr {:#x} spsr {:#x}\n\
         parzelle: sp {stack:#x} lr {link:#x} fp {frame_pointer:#x}\n\
         parzelle: module failed\n",
        MPIDR_EL1.get(),
        ESR_EL2.get(),
        FAR_EL2.get(),
        ELR_EL2.get(),
        SPSR_EL2.get(),
    ));
    halt::halt(Halt::Fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_names() {
        assert_eq!(name(4), ("synchronous exception", "in the kernel"));
        assert_eq!(name(7), ("SError", "in the kernel"));
        assert_eq!(name(10), ("fast interrupt", "in a partition"));
    }
}
