// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Entries into the guest's kernel: exceptions, system calls, upcalls.
//!
//! ```text
//!   user program ─┐                   ┌─ stack: the kernel's own, or where it is
//!   guest kernel ─┴─ frame on stack ──┴─► gate; events masked if the gate says so
//! ```

use parzelle_xen::abi::shared::at;
use parzelle_xen::memory::Page;
use parzelle_xen::traps::{self, Gate, Interrupted};

use crate::failure::{Beyond, Failure};
use crate::own;
use crate::ram::Frame;
use crate::run::Runner;
use crate::vcpu::{FLAGS, register};

/// Vectors of exceptions.
pub mod vector {
    /// Debug.
    pub const DEBUG: u8 = 1;
    /// Breakpoint.
    pub const BREAKPOINT: u8 = 3;
    /// Invalid instruction.
    pub const INVALID: u8 = 6;
    /// General protection.
    pub const PROTECTION: u8 = 13;
    /// Page fault.
    pub const PAGE: u8 = 14;
    /// Exceptions that bring an error code.
    pub const WITH_ERROR: u64 = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21 | 3 << 29;
}

impl Runner {
    /// Makes the guest's kernel handle an exception.
    ///
    /// # Errors
    /// It does not handle it, or can't: then the guest is beyond help.
    pub fn raise(&mut self, number: u8, error: Option<u32>) -> Result<(), Failure> {
        match self.vcpu.traps.gate(number) {
            Some(gate) => self.deliver(gate, error),
            None => Err(self.beyond("an exception that it does not handle", number.into())),
        }
    }

    /// Enters the guest's kernel for an upcall, if it has an entry for that.
    ///
    /// # Errors
    /// As for [`Self::raise`].
    pub fn upcall(&mut self) -> Result<(), Failure> {
        match self.vcpu.callbacks.event {
            0 => Ok(()),
            address => self.deliver(Gate { address, masks_events: true, from_user: false }, None),
        }
    }

    /// Enters the guest's kernel for a system call.
    ///
    /// # Errors
    /// As for [`Self::raise`].
    pub fn system_call(&mut self) -> Result<(), Failure> {
        let callbacks = self.vcpu.callbacks;
        match callbacks.syscall {
            0 => self.raise(vector::INVALID, None),
            address => {
                let gate = Gate { address, masks_events: callbacks.syscall_masks, from_user: true };
                self.deliver(gate, None)
            }
        }
    }

    /// Writes a frame to the stack of the guest's kernel, and goes on at the gate.
    fn deliver(&mut self, gate: Gate, error: Option<u32>) -> Result<(), Failure> {
        let user = self.vcpu.user;
        let interrupted = Interrupted {
            rip: self.vcpu.rip,
            rflags: self.vcpu.rflags,
            rsp: self.vcpu.general[register::RSP],
            cs: self.vcpu.cs,
            ss: self.vcpu.ss,
            rcx: self.vcpu.general[register::RCX],
            r11: self.vcpu.general[register::R11],
            user,
            masked: self.is_masked(),
        };
        let frame = traps::Frame::new(&interrupted, error);
        let stack = if user { *self.vcpu.own(own::KERNEL_SP) } else { interrupted.rsp };
        let place = frame.place(stack);
        if frame.is_nonsense(stack) {
            return Err(self.beyond("no stack for its kernel", stack));
        }
        if self.space.put_words(place, frame.words()).is_err() {
            return Err(self.beyond("a stack that is not there", place));
        }
        self.vcpu.general[register::RSP] = place;
        (self.vcpu.rip, self.vcpu.rflags, self.vcpu.user) = (gate.address, FLAGS, false);
        if gate.masks_events {
            self.mask(true);
        }
        Ok(())
    }

    /// Whether the guest takes no upcalls on this vCPU.
    #[must_use]
    pub fn is_masked(&self) -> bool {
        self.info().is_none_or(|(page, info)| page.load8(info + at::UPCALL_MASK) != 0)
    }

    /// Whether an upcall is to be taken, and can be.
    #[must_use]
    pub fn is_deliverable(&self) -> bool {
        let byte = |(page, info): (Frame, usize), at| page.load8(info + at);
        self.info().is_some_and(|info| byte(info, at::UPCALL_PENDING) != 0 && byte(info, at::UPCALL_MASK) == 0)
    }

    /// Changes that.
    pub fn mask(&self, masked: bool) {
        if let Some((page, info)) = self.info() {
            page.store8(info + at::UPCALL_MASK, masked.into());
        }
    }

    /// What makes a guest's end of something.
    #[cold]
    #[must_use]
    pub fn beyond(&self, what: &'static str, number: u64) -> Failure {
        Failure::Beyond(Beyond { what, number, rip: self.vcpu.rip })
    }
}
