// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What each core owns, and the way from the assembly into the kernel core and back.
//!
//! ```text
//!   Block                 ┌──────────────┐
//!                         │ guard page   │  not mapped once the kernel's own table is on
//!                         │ stack        │  empty between entries
//!   TPIDR_EL2, SP_EL2 ──► │ core         │
//!                         │ idle context │  current until the first vCPU is
//!                         └──────────────┘
//! ```
//! A kernel stack that overflows hits its guard: a data abort in EL2, whose vector changes to a
//! stack of its own, prints and ends the module (`fatal`). No function of the kernel has a frame
//! that could step over the page. In boot, under the early table, the guard does not bite yet.
//!
//! The handlers below are the only places that turn the block's address into a reference; each
//! runs on the block's core, with interrupts masked, and never within another.

use crate::context::Context;
use crate::guest;
use crate::irqchip::{FIRST_LINE, KICK, MAINTENANCE, SPECIAL};
use crate::machine::{Exit, Processor};
use crate::registers::{idle, isb, translate_stage1};
use crate::syndrome::{self, class};
use crate::timer::{self, GUEST_TIMER_LINE, TIMER_LINE};
use aarch64_cpu::registers::{CNTV_CTL_EL0, ELR_EL2, ESR_EL2, FAR_EL2, HPFAR_EL2, Readable, Writeable};
use core::mem::MaybeUninit;
use parzelle_abi::aarch64::{Frame, GuestExit};
use parzelle_abi::health::ErrorId;
use parzelle_core::CoreState;
use parzelle_core::machine::{Fault, Machine};

/// The most cores that this kernel can run; a plan with more is refused.
pub(crate) const CORES_MAX: usize = 8;
/// Bytes of a core's stack.
const STACK: usize = 0x4000;
/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// A core's part: the stack grows down from what [`Core`] holds.
#[repr(C, align(4096))]
pub(crate) struct Block {
    guard: [u8; PAGE],
    stack: [u8; STACK],
    core: Core,
    idle: Context,
}

/// What a core owns.
#[repr(C, align(64))]
pub(crate) struct Core {
    /// Which core it is, by the plan.
    pub(crate) number: usize,
    pub(crate) state: CoreState<Processor>,
    /// Start of the stretch that runs with interrupts masked (`measure`).
    #[cfg_attr(not(feature = "measure"), allow(dead_code))]
    pub(crate) since: u64,
}

/// All blocks, in `.bss`. Each is touched, by its address, by the boot core before its own core
/// starts, and by that one afterwards.
#[unsafe(export_name = "parzelle_blocks")]
static mut BLOCKS: [MaybeUninit<Block>; CORES_MAX] = [const { MaybeUninit::uninit() }; CORES_MAX];

/// Distance from a block's start to the top of its stack.
pub(crate) const STACK_TOP: usize = core::mem::offset_of!(Block, core);
/// Bytes of a block.
pub(crate) const BLOCK: usize = size_of::<Block>();

/// The address of a block.
pub(crate) fn block(core: usize) -> usize {
    &raw mut BLOCKS as usize + core * BLOCK
}

/// The address of a core's [`Core`]: its TPIDR_EL2 and top of stack.
pub(crate) fn core_of(core: usize) -> *mut Core {
    (block(core) + STACK_TOP) as *mut Core
}

/// The address of a core's idle context.
pub(crate) fn idle_of(core: usize) -> *mut Context {
    (block(core) + core::mem::offset_of!(Block, idle)) as *mut Context
}

impl Core {
    /// Gives a core its state and its idle context.
    ///
    /// # Safety
    /// The core is below [`CORES_MAX`] and does not use either yet.
    pub(crate) unsafe fn prepare(number: usize, state: CoreState<Processor>) {
        // SAFETY: the caller's promise: nobody else looks at this block now.
        unsafe { idle_of(number).write(Context::new(0, 0, 0, 0)) };
        // SAFETY: as above.
        unsafe { core_of(number).write(Core { number, state, since: 0 }) };
    }

    /// The frame to continue with; idles until there is one.
    #[inline(always)]
    pub(crate) fn leave(&mut self) -> *mut Frame {
        while self.state.current().is_none() {
            #[cfg(feature = "measure")]
            self.end_measure();
            let syndrome = idle();
            #[cfg(feature = "measure")]
            self.begin_measure();
            if syndrome == 0 {
                self.take_interrupt();
            } else {
                self.take_hardware_error(syndrome, 0);
            }
        }
        #[cfg(feature = "measure")]
        self.end_measure();
        self.state.machine.frame
    }

    /// Takes one pending interrupt, if there is one.
    #[inline(always)]
    fn take_interrupt(&mut self) {
        let state = &mut self.state;
        let chip = state.machine.chip;
        let (line, word) = chip.acknowledge();
        if line == TIMER_LINE {
            timer::stop();
            // The line must have fallen before it is ended, or it comes again.
            isb();
            chip.end(word);
            state.on_timer();
        } else if line >= FIRST_LINE {
            // The core masks the line; ended before that, a level would be pending again.
            if line < SPECIAL {
                state.on_line(line);
                state.machine.chip.end(word);
            }
        } else {
            self.take_local(line, word);
        }
    }

    /// Takes one of the rarer per-core interrupts.
    #[cold]
    fn take_local(&mut self, line: u32, word: u32) {
        let state = &mut self.state;
        let chip = state.machine.chip;
        let exit = match line {
            GUEST_TIMER_LINE => {
                // IMASK: the line falls, and the guest's next write to the register lets it rise.
                CNTV_CTL_EL0.set(CNTV_CTL_EL0.get() | 2);
                Some(GuestExit::Timer)
            }
            MAINTENANCE => {
                // Off at once, or the line would stay raised until the vCPU enters its guest again.
                chip.virtual_enable(false);
                Some(GuestExit::Maintenance)
            }
            _ => None,
        };
        isb();
        chip.end(word);
        match exit {
            Some(exit) if state.machine.in_guest() => state.on_guest_exit(exit),
            None if line == KICK => state.on_kick(),
            _ => {}
        }
    }

    /// An exception of the guest.
    fn guest_trap(&mut self, syndrome: u64) {
        let state = &mut self.state;
        if syndrome::exception_class(syndrome) == class::FP && guest::swap_fp(&mut state.machine) {
            return;
        }
        let mut exit = Exit { syndrome, address: FAR_EL2.get(), ipa: 0 };
        if syndrome::is_abort(syndrome) {
            exit.ipa = if syndrome::page_unknown(syndrome) {
                let translated = translate_stage1(exit.address);
                if translated & 1 != 0 {
                    // The guest has changed its tables meanwhile: let it try again.
                    return;
                }
                translated & 0x000f_ffff_ffff_f000 | exit.address & 0xfff
            } else {
                (HPFAR_EL2.get() & !0xf) << 8 | exit.address & 0xfff
            };
        }
        state.machine.exit = exit;
        state.on_guest_exit(GuestExit::Sync);
    }

    /// An exception of a native partition that is no call.
    fn host_trap(&mut self, syndrome: u64) {
        let state = &mut self.state;
        match syndrome::exception_class(syndrome) {
            // Waiting is the kernel's business: a poll, as it were.
            class::WAIT => ELR_EL2.set(ELR_EL2.get().wrapping_add(4)),
            class::FP if guest::swap_fp(&mut state.machine) => {}
            _ => {
                let address = if syndrome::is_abort(syndrome) { FAR_EL2.get() } else { ELR_EL2.get() };
                let error = syndrome::error(syndrome);
                state.on_fault(Fault { error, syndrome, address });
            }
        }
    }

    /// Takes an SError: which partition's access it belongs to nobody knows, so it is the module's.
    /// What comes of it the module's health table says. `address`: where it was taken, which is all
    /// that is known, since FAR_EL2 tells nothing about an SError.
    #[cold]
    fn take_hardware_error(&mut self, syndrome: u64, address: u64) {
        self.state.on_module_error(Fault { error: ErrorId::HardwareFault, syndrome, address });
    }
}

/// Does what an entry is for; returns the frame to continue with.
///
/// # Safety
/// `core` is this core's block, prepared, and nothing else runs on it.
#[inline(always)]
unsafe fn entered(core: *mut Core, work: impl FnOnce(&mut Core)) -> *mut Frame {
    // SAFETY: the caller's promise.
    let core = unsafe { &mut *core };
    #[cfg(feature = "measure")]
    core.begin_measure();
    work(core);
    core.leave()
}

/// A kernel call.
///
/// # Safety
/// Only for trap.S, as `entered`.
#[unsafe(export_name = "parzelle_on_call")]
unsafe extern "C" fn on_call(a: u64, b: u64, c: u64, d: u64, e: u64, core: *mut Core, number: u64) -> *mut Frame {
    // SAFETY: the caller's promise.
    unsafe { entered(core, |core| core.state.on_call(number, [a, b, c, d, e])) }
}

/// Any other synchronous exception.
///
/// # Safety
/// Only for trap.S, as `entered`.
#[unsafe(export_name = "parzelle_on_trap")]
unsafe extern "C" fn on_trap(core: *mut Core, syndrome: u64) -> *mut Frame {
    let work = |core: &mut Core| {
        if core.state.machine.in_guest() { core.guest_trap(syndrome) } else { core.host_trap(syndrome) }
    };
    // SAFETY: the caller's promise.
    unsafe { entered(core, work) }
}

/// An interrupt.
///
/// # Safety
/// Only for trap.S, as `entered`.
#[unsafe(export_name = "parzelle_on_interrupt")]
unsafe extern "C" fn on_interrupt(core: *mut Core) -> *mut Frame {
    // SAFETY: the caller's promise.
    unsafe { entered(core, Core::take_interrupt) }
}

/// An SError that was taken below EL2.
///
/// # Safety
/// Only for trap.S, as `entered`.
#[unsafe(export_name = "parzelle_on_hardware_error")]
unsafe extern "C" fn on_hardware_error(core: *mut Core) -> *mut Frame {
    // SAFETY: the caller's promise.
    unsafe { entered(core, |core| core.take_hardware_error(ESR_EL2.get(), ELR_EL2.get())) }
}

/// Begins the first frame on this core and continues with what runs first.
///
/// # Safety
/// Only for boot.S, as `entered`.
#[unsafe(export_name = "parzelle_begin")]
unsafe extern "C" fn begin(core: *mut Core, epoch: u64) -> *mut Frame {
    let work = |core: &mut Core| {
        core.state.start(epoch);
        // Boot is long and disturbs nobody: what is measured begins behind it.
        #[cfg(feature = "measure")]
        core.init_measure();
    };
    // SAFETY: the caller's promise.
    unsafe { entered(core, work) }
}
