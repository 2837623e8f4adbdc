// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The boundary to the architecture: all that the kernel core asks of a processor, and the one
//! thing that it is asked (`CoreState`'s `on_…` functions). `fake.rs` is a machine that the
//! host's tests run on.
//!
//! ```text
//!   trap, interrupt ──► arch entry: saves the registers of the current vCPU's context
//!                        │
//!                        ▼
//!                  CoreState::on_call / on_fault / on_line / on_timer / on_kick / on_guest_exit
//!                        │   calls back: Machine::set_result, switch, enter_upcall, arm, …
//!                        ▼
//!   return ◄──────── arch exit: restores the registers of CoreState::current(), or idles
//! ```
//! Contexts (registers, FP/SIMD, guest system registers) belong to the machine; the core names
//! them by the vCPU's index in the plan. Functions that speak of "the current vCPU" mean the one
//! of the latest [`Machine::switch`]: its space is loaded, its private memory mapped.

use core::sync::atomic::AtomicU64;
use parzelle_abi::aarch64::GuestExit;
// Its path is spelt out for those who compile this file under another path.
#[cfg(any(test, feature = "fake"))]
#[path = "machine/fake.rs"]
pub mod fake;

use parzelle_abi::call::Error;
use parzelle_abi::health::ErrorId;
use parzelle_abi::vcpu_page::{UpcallReason, VcpuHead};
use parzelle_plan::{AccessRecord, VcpuRecord};

/// Something that the current vCPU did wrong, as the processor reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it means.
    pub error: ErrorId,
    /// ESR_EL2; vector | error code << 32.
    pub syndrome: u64,
    /// The address that was touched, or the program counter.
    pub address: u64,
}

/// What an upcall handler is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upcall {
    /// Where it begins.
    pub entry: u64,
    /// Its stack.
    pub stack: u64,
    /// Why.
    pub reason: UpcallReason,
    /// The events taken with it.
    pub events: u64,
    /// The fault, when that is the reason.
    pub fault: Option<Fault>,
}

/// How the module ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Power off: all went well.
    Stop,
    /// Reset.
    Reset,
    /// Power off: something failed, as the emulator's or board's exit status tells.
    Fail,
}

/// A processor core, with what it drives.
///
/// # Contract
/// The core calls these with interrupts masked, on the core whose `CoreState` it is. Every
/// function returns within a bounded number of instructions. Physical addresses given to
/// [`Machine::copy`] and [`Machine::write`] lie in memory of the plan that the current vCPU's
/// root maps for the kernel; the core has proved that.
pub trait Machine {
    /// Nanoseconds since boot; the same on all cores, never going back.
    fn now(&mut self) -> u64;

    /// Makes `on_timer` happen at `at` (nanoseconds since boot), at once if that has passed.
    /// Replaces what was armed before. [`parzelle_abi::NEVER`] disarms.
    fn arm(&mut self, at: u64);

    /// Makes `on_kick` happen on another core.
    fn kick(&mut self, core: u32);

    /// Leaves the current context, if there is one, and makes that of a vCPU (its index in the plan,
    /// and what the plan says of it) current: FP/SIMD registers (of those with the flag), guest system
    /// registers, the space.
    fn switch(&mut self, number: u32, to: &VcpuRecord);

    /// Gives the current vCPU a fresh host context: all registers zero but the program counter,
    /// the stack pointer and the first two arguments; writes `head` to the head of its page, zeroes
    /// the frame there, and forgets its guest context.
    fn start(&mut self, entry: u64, stack: u64, arguments: [u64; 2], head: &VcpuHead);

    /// Sets the result registers of the current vCPU's host context.
    fn set_result(&mut self, status: u64, value: u64);

    /// Reads, once, whether the current vCPU's page says that upcalls are masked.
    fn upcalls_masked(&mut self) -> bool;

    /// Enters the upcall handler of the current vCPU: saves its host frame to the page (unless
    /// `keep_frame`: the frame there was not resumed yet), masks upcalls, fills the head's
    /// reason, events and fault, sets program counter and stack; first argument = reason,
    /// second = events.
    fn enter_upcall(&mut self, upcall: &Upcall, keep_frame: bool);

    /// Takes the host frame from the current vCPU's page, sanitised, and unmasks upcalls.
    fn resume_frame(&mut self);

    /// Writes the planned start of its window to the current vCPU's page.
    fn set_window_start(&mut self, start: u64);

    /// Whether the current vCPU is in its guest context.
    fn in_guest(&self) -> bool;

    /// Makes the guest context the one that the current vCPU returns to.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where the architecture has none.
    fn enter_guest(&mut self) -> Result<(), Error>;

    /// Makes the host context the one that the current vCPU returns to, with the guest's state
    /// and the exit's reason in the page. The core sets the result of the call afterwards.
    fn leave_guest(&mut self, exit: GuestExit);

    /// A vCPU of this core, maybe the loaded one, has stopped: it will start anew or never run again. What its
    /// guest context has of the partition's is let go.
    fn stopped(&mut self, _vcpu: &VcpuRecord) {}

    /// Does one unit of forgetting what a partition's guest has made of kernel objects, while all vCPUs of it are
    /// stopped; `false`: there is nothing left.
    fn reset(&mut self, _partition: u32) -> bool {
        false
    }

    /// Copies between physical ranges, in steps of at most 16 bytes, without looking at them.
    fn copy(&mut self, to: u64, from: u64, bytes: u32);

    /// Writes kernel data to a physical range.
    fn write(&mut self, to: u64, bytes: &[u8]);

    /// Masks an interrupt line.
    fn mask_line(&mut self, line: u32);

    /// Unmasks an interrupt line; the machine routes it to this core.
    fn unmask_line(&mut self, line: u32);

    /// Empties this core's first-level caches and forgets what its branch predictors have learnt, as
    /// far as the processor has instructions for that: what the next partition could measure of the
    /// last. Where it only has one for all caches (x86-64 without IA32_FLUSH_CMD), that takes
    /// milliseconds and is felt by other cores.
    fn flush(&mut self);

    /// Does one step of silencing a device, or of making it ready again.
    fn quiesce(&mut self, access: &AccessRecord);

    /// Longest stretch with interrupts masked so far, in ticks; 0 if that isn't measured.
    fn longest_masked(&self) -> u64 {
        0
    }

    /// Ends the module. Real machines don't return from it.
    fn halt(&mut self, how: Halt);
}

/// Where kernel objects come from: memory that the resolver has sized, carved at boot. The
/// machine implements it over the plan's arena; the host implements it over its heap, and
/// learns so how large the arena has to be.
pub trait Arena {
    /// Takes `count` objects, each made by `make` from its index. Their memory is reserved before
    /// the first is made, so `make` may take from the arena too. `None` when the arena is used
    /// up, or `make` says so.
    fn take<T: 'static>(
        &mut self,
        count: usize,
        make: impl FnMut(&mut Self, usize) -> Option<T>,
    ) -> Option<&'static mut [T]>;

    /// Takes a trace ring that lies at `address`; `bytes` covers head and records. Atomic words,
    /// because partitions read it at any time.
    fn trace(&mut self, address: u64, bytes: u64) -> Option<&'static [AtomicU64]>;
}
