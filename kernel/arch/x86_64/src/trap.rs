// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the entry calls, and the table of gates that leads there.
//!
//! The three functions here are the unsafe shell: each turns what the assembly hands over into a
//! reference and calls the safe kernel core at once. Interrupts stay masked from entry to exit.

use crate::context::{Context, WAITING};
use crate::descriptors::Gate;
use crate::fault;
use crate::guest;
use crate::instructions::{clear_dr6, cr2};
use crate::irqchip::{KICK, LINES, TIMER};
use crate::machine::Core;
use spin::Once;

/// The assembly, with what it goes by: where things lie in the context page and in the core's block.
#[cfg(target_os = "none")]
mod assembly {
    use crate::context::{Context, SAVED, SYSCALL};
    use crate::fault::{EXCEPTIONS, NMI};
    use crate::guest::sides::OWN_END;
    use crate::percore::{PerCore, SAVE};
    use core::mem::offset_of;

    core::arch::global_asm!(
        include_str!("trap.S"),
        USER_SP = const offset_of!(PerCore, user_sp),
        SAVE = const SAVE,
        CORE = const offset_of!(PerCore, core),
        STACK_TOP = const offset_of!(PerCore, stack_top),
        SAVED = const SAVED,
        SYSCALL = const SYSCALL,
        EXCEPTIONS = const EXCEPTIONS,
        NMI = const NMI,
        VECTOR = const offset_of!(Context, vector),
        RIP = const offset_of!(Context, rip),
        RFLAGS = const offset_of!(Context, rflags),
        RSP = const offset_of!(Context, rsp),
        OWN_END = const OWN_END,
    );
}

/// The gates, the same for all cores.
static GATES: Once<[Gate; 256]> = Once::new();

/// Which stack of its own an exception has (`percore`): 0 = none.
const fn stack_of(vector: u64) -> u8 {
    match vector {
        fault::NMI | fault::MC | fault::DB => 1,
        fault::DF => 2,
        _ => 0,
    }
}

/// The gates; `stubs` is where the first of 256 stubs lies, 16 bytes apart.
pub(crate) fn gates(stubs: u64) -> &'static [Gate; 256] {
    GATES.call_once(|| {
        core::array::from_fn(|vector| {
            let vector = vector as u64;
            Gate::new(stubs + vector * 16, stack_of(vector))
        })
    })
}

/// The context to go on with. While a core has nothing to do, the latest vCPU stays loaded: it will
/// often be the next one, too.
pub(crate) fn exit(core: &mut Core) -> *const Context {
    let context = core.machine.end();
    if core.current().is_some() { context } else { &raw const WAITING }
}

/// A kernel call: returns the context to go on with.
///
/// # Safety
/// Only for the entry: `core` is this core's state, and nobody else uses it until this returns.
#[unsafe(no_mangle)]
unsafe extern "C" fn parzelle_call(core: *mut Core, number: u64) -> *const Context {
    // SAFETY: see above; interrupts are masked, so no other entry makes a second reference.
    let core = unsafe { &mut *core };
    core.machine.begin();
    let arguments = core.machine.arguments();
    if number < guest::FIRST_CALL || !guest::call(core, number, arguments) {
        core.on_call(number, arguments);
    }
    exit(core)
}

/// An interrupt, or an exception of the current vCPU: returns as [`parzelle_call`].
///
/// # Safety
/// As [`parzelle_call`].
#[unsafe(no_mangle)]
unsafe extern "C" fn parzelle_trap(core: *mut Core, vector: u64) -> *const Context {
    // SAFETY: see above; interrupts are masked, so no other entry makes a second reference.
    let core = unsafe { &mut *core };
    core.machine.begin();
    let registers = core.machine.registers();
    let rip = registers.interrupted();
    match vector {
        0..fault::EXCEPTIONS => {
            let error = registers.error;
            // SAFETY: it only reads.
            let fault = fault::decode(vector, error, rip, unsafe { cr2() });
            if vector != fault::NMI && core.machine.repair(fault.address) {
                return exit(core);
            }
            if vector == fault::DB {
                // SAFETY: what it says is this vCPU's, and of no use to anybody.
                unsafe { clear_dr6() };
            }
            // An NMI is no partition's doing: what comes of it the module's health table says.
            if vector == fault::NMI { core.on_module_error(fault) } else { core.on_fault(fault) }
        }
        TIMER if core.machine.timer_due() => core.on_timer(),
        KICK => {
            core.machine.kicked();
            core.on_kick();
        }
        LINES..KICK => {
            if let Some(line) = core.machine.acknowledge(vector) {
                core.on_line(line);
            }
        }
        // Spurious, or the timer's came early.
        _ => {}
    }
    exit(core)
}

/// An exception of the kernel itself, or one that nobody survives: prints and ends the module.
///
/// # Safety
/// Only for the entry: `registers` points at a [`Context`] on some stack.
#[unsafe(no_mangle)]
unsafe extern "C" fn parzelle_end(registers: *const Context) -> ! {
    // SAFETY: the entry has just pushed it. (Its last two words, the bases, are whatever lies
    // above on the stack; they are not printed.)
    let registers = unsafe { &*registers };
    // SAFETY: it only reads.
    crate::fatal::exception(registers, unsafe { cr2() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_at_any_time_has_a_stack_of_its_own() {
        for vector in [fault::NMI, fault::MC, fault::DB] {
            assert_eq!(stack_of(vector), 1);
        }
        assert_eq!(stack_of(fault::DF), 2);
        assert_eq!((0..256).filter(|&vector| stack_of(vector) != 0).count(), 4);
        assert_eq!(gates(0x1000)[3], Gate::new(0x1030, 0));
    }
}
