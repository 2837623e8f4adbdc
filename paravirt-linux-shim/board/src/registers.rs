// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's registers as the run loop needs them.
//!
//! A trait, because the real ones lie in the vCPU page that the kernel shares with the shim:
//! copying 31 registers to look at two of them would cost more than the rest of an exit.

use crate::exit::SysReg;

/// The registers of a guest that has just left.
pub trait GuestRegisters {
    /// Returns general-purpose register `n`; 31 is the zero register.
    fn x(&self, n: u8) -> u64;
    /// Sets general-purpose register `n`; a write to 31 is lost.
    fn set_x(&mut self, n: u8, value: u64);
    /// Returns the program counter: where the guest goes on.
    fn pc(&self) -> u64;
    /// Moves the program counter.
    fn set_pc(&mut self, pc: u64);
    /// Returns when the guest's virtual timer will fire, in ticks of the guest's virtual counter
    /// (`CNTV_CVAL_EL0`), or nothing if it is off or masked (`CNTV_CTL_EL0` is not `ENABLE` without
    /// `IMASK`).
    fn timer_deadline(&self) -> Option<u64>;
    /// Returns where a debug register is kept, if it is one that the guest has.
    fn debug(&mut self, register: SysReg) -> Option<&mut u64>;

    /// Steps over the instruction that trapped. Guests are AArch64 only, so it has four bytes.
    fn skip_instruction(&mut self) {
        self.set_pc(self.pc().wrapping_add(4));
    }
}

/// Registers in plain memory: for tests, and for a shim that copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// `x0` to `x30`.
    pub x: [u64; 31],
    /// The program counter.
    pub pc: u64,
    /// When the virtual timer fires, see [`GuestRegisters::timer_deadline`].
    pub timer_deadline: Option<u64>,
}

impl GuestRegisters for Frame {
    fn x(&self, n: u8) -> u64 {
        self.x.get(usize::from(n)).copied().unwrap_or(0)
    }

    fn set_x(&mut self, n: u8, value: u64) {
        if let Some(x) = self.x.get_mut(usize::from(n)) {
            *x = value;
        }
    }

    fn pc(&self) -> u64 {
        self.pc
    }

    fn set_pc(&mut self, pc: u64) {
        self.pc = pc;
    }

    fn timer_deadline(&self) -> Option<u64> {
        self.timer_deadline
    }

    fn debug(&mut self, _: SysReg) -> Option<&mut u64> {
        None
    }
}
