// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A vCPU that begins with what the guest says (`VCPUOP_initialise`).

use parzelle_xen::abi::PAGE;
use parzelle_xen::abi::mmu::{MmuextCommand, MmuextOp};
use parzelle_xen::abi::trap::{GuestContext, IretContext, context};
use parzelle_xen::traps::{Return, TrapTable};

use crate::failure::Failure;
use crate::instructions::set_fs_base;
use crate::own;
use crate::run::Runner;
use crate::vcpu::{Callbacks, USER_CODE, USER_DATA};

/// Where general registers are in a context, by number: it lists them from r15 on downwards.
const ORDER: [usize; 16] = [10, 11, 12, 5, NONE, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0];
/// rsp has a place of its own.
const NONE: usize = usize::MAX;

impl Runner {
    /// Takes over a context, which the domain has looked at.
    ///
    /// # Errors
    /// Its tables can't be used.
    pub fn adopt(&mut self, from: &GuestContext) -> Result<(), Failure> {
        let registers = &from.user_regs;
        for (register, place) in self.vcpu.general.iter_mut().zip(ORDER) {
            *register = registers.general.get(place).copied().unwrap_or(registers.rsp);
        }
        let [_, user_root, _, root, cr4, ..] = from.ctrlreg;
        let space = &self.space;
        let started = space.turn(|turn| {
            for (command, root) in [(MmuextCommand::NewBaseptr, root), (MmuextCommand::NewUserBaseptr, user_root)] {
                let operation = MmuextOp { cmd: command.number(), arg1: root / PAGE, ..MmuextOp::default() };
                turn.extended(&operation, space)?;
            }
            turn.commit()
        });
        if started != Some(Ok(())) {
            return Err(self.beyond("roots that are none", root));
        }
        let to = Return::of(&IretContext {
            rip: registers.rip,
            cs: registers.cs.into(),
            rflags: registers.rflags,
            rsp: registers.rsp,
            ss: registers.ss.into(),
            ..IretContext::default()
        });
        let vcpu = &mut self.vcpu;
        (vcpu.rip, vcpu.rflags, vcpu.cr4) = (to.rip, to.rflags, cr4);
        (vcpu.cs, vcpu.ss) = (USER_CODE, USER_DATA);
        vcpu.user = false;
        vcpu.traps = TrapTable::of_context(from).unwrap_or_default();
        vcpu.callbacks = Callbacks {
            event: from.event_callback,
            failsafe: from.failsafe_callback,
            failsafe_masks: from.flags & context::FAILSAFE_MASKS_EVENTS != 0,
            syscall: from.syscall_callback,
            syscall_masks: from.flags & context::SYSCALL_MASKS_EVENTS != 0,
        };
        *vcpu.own(own::SYSCALL) = from.syscall_callback;
        *vcpu.own(own::KERNEL_SP) = from.kernel_sp & !15;
        set_fs_base(from.fs_base);
        vcpu.set_kernel_gs(from.gs_base_kernel);
        vcpu.set_user_gs(from.gs_base_user);
        vcpu.debug = from.debugreg;
        self.first_segments();
        self.find_root();
        let [gdt, ..] = from.gdt_frames;
        if self.use_gdt((from.gdt_ents != 0).then_some(gdt)).is_err() {
            return Err(self.beyond("a GDT that is not there", gdt));
        }
        // Only processes have LDTs, and none runs yet.
        Ok(())
    }
}
