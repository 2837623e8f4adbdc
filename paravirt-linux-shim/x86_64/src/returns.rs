// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The hypercall `iret`, where the short way in assembly does not go.

use parzelle_xen::abi::trap::IretContext;
use parzelle_xen::memory::Arguments;
use parzelle_xen::traps::Return;

use crate::deliver::vector;
use crate::failure::Failure;
use crate::run::Runner;
use crate::vcpu::register;

impl Runner {
    /// Returns from a trap.
    ///
    /// # Errors
    /// There is no frame: the guest is beyond help.
    pub fn iret(&mut self) -> Result<(), Failure> {
        let stack = self.vcpu.general[register::RSP];
        let Ok(frame) = self.space.get::<IretContext>(stack) else {
            return Err(self.beyond("a return with no frame on the stack", stack));
        };
        let to = Return::of(&frame);
        let vcpu = &mut self.vcpu;
        vcpu.general[register::RAX] = frame.rax;
        vcpu.general[register::RCX] = frame.rcx;
        vcpu.general[register::R11] = frame.r11;
        vcpu.general[register::RSP] = to.rsp;
        (vcpu.rip, vcpu.rflags, vcpu.user) = (to.rip, to.rflags, to.user);
        // Those of its kernel are always the same.
        (vcpu.cs, vcpu.ss) = (to.cs, to.ss);
        self.mask(to.masked);
        // What the processor would say, in the place that the guest wants to go to: Linux sends the
        // program a signal.
        if to.is_possible() { Ok(()) } else { self.raise(vector::PROTECTION, Some(0)) }
    }
}
