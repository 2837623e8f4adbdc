// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console, for boot and for the kernel's last words; and the end of the module: by PSCI (Arm
//! DEN 0022), after a panic, or after an exception in the kernel itself. (An SError that comes while
//! a partition runs or the core idles is the health table's, see `core_block.rs`.)

use crate::registers::{secure_monitor_call, wait_for_interrupt};
use aarch64_cpu::registers::{ELR_EL2, ESR_EL2, FAR_EL2, MPIDR_EL1, Readable, SPSR_EL2};
use core::fmt::Arguments;
use core::panic::PanicInfo;
use parzelle_core::machine::Halt;
use spin::{Mutex, Once};

static PRINTER: Once<fn(Arguments<'_>)> = Once::new();
static LOCK: Mutex<()> = Mutex::new(());

/// Sets the board's printer.
pub(crate) fn set(printer: fn(Arguments<'_>)) {
    PRINTER.call_once(|| printer);
}

/// Prints, if the board can. A core that died within it does not keep the others from it for ever.
pub(crate) fn print(text: Arguments<'_>) {
    let Some(printer) = PRINTER.get() else { return };
    let guard = (0..10_000_000).find_map(|_| {
        core::hint::spin_loop();
        LOCK.try_lock()
    });
    printer(text);
    drop(guard);
}

/// Switches off or resets. Should the firmware return, this core stops.
pub(crate) fn halt(how: Halt) -> ! {
    const SYSTEM_OFF: u64 = 0x8400_0008;
    const SYSTEM_RESET: u64 = 0x8400_0009;
    secure_monitor_call(if how == Halt::Reset { SYSTEM_RESET } else { SYSTEM_OFF }, [0; 3]);
    loop {
        wait_for_interrupt();
    }
}

/// Ends the module after a panic of the kernel: prints what it says.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    print(format_args!("parzelle: {info}\nparzelle: module failed\n"));
    halt(Halt::Fail)
}

/// What the vectors mean, by number (Arm ARM D1.3.1.5).
const KINDS: [&str; 4] = ["synchronous exception", "interrupt", "fast interrupt", "SError"];

/// The name of a vector: what, and from where.
fn name(vector: u64) -> (&'static str, &'static str) {
    (KINDS[vector as usize % 4], if vector < 8 { "in the kernel" } else { "in a partition" })
}

/// Prints what is known of an exception that can't be, and ends the module.
///
/// # Safety
/// Only for trap.S, on the stack for this.
#[unsafe(export_name = "parzelle_on_fatal")]
unsafe extern "C" fn on_fatal(vector: u64, frame_pointer: u64, stack: u64, link: u64) -> ! {
    let (what, place) = name(vector);
    let [core, esr, far] = [MPIDR_EL1.get(), ESR_EL2.get(), FAR_EL2.get()];
    let [elr, spsr] = [ELR_EL2.get(), SPSR_EL2.get()];
    print(format_args!(
        "parzelle: {what} {place}, core {core:#x}\n\
         parzelle: esr {esr:#x} far {far:#x} elr {elr:#x} spsr {spsr:#x}\n\
         parzelle: sp {stack:#x} lr {link:#x} fp {frame_pointer:#x}\n\
         parzelle: module failed\n",
    ));
    halt(Halt::Fail)
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
