// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest context of the vCPU page ([`parzelle_abi::aarch64::Guest`]) in this crate's terms.
//!
//! All that ties the board to the kernel's interface is here; the rest doesn't know how the kernel
//! is asked.

use parzelle_abi::aarch64::{Guest, GuestExit, VirtualInterrupt};

use crate::exit::walk::Tables;
use crate::exit::{Exit, Fault, FaultKind, Syndrome, SysReg};
use crate::gic::{ListRegister, State};
use crate::machine::unknown_exit;
use crate::registers::GuestRegisters;

/// `CNTV_CTL_EL0.ENABLE` and `IMASK`.
const TIMER_ENABLE: u64 = 1;
const TIMER_MASKED: u64 = 2;
/// [`VirtualInterrupt::state`].
const PENDING: u8 = 1;
const ACTIVE: u8 = 2;
/// [`VirtualInterrupt::flags`].
const TELL_END: u8 = 1;
/// `SPSR_EL2.SS`: the step of a guest that single steps is still to be done.
const STEP: u64 = 1 << 21;

impl GuestRegisters for Guest {
    fn x(&self, n: u8) -> u64 {
        self.frame.x.get(usize::from(n)).copied().unwrap_or(0)
    }

    fn set_x(&mut self, n: u8, value: u64) {
        if let Some(x) = self.frame.x.get_mut(usize::from(n)) {
            *x = value;
        }
    }

    fn pc(&self) -> u64 {
        self.frame.pc
    }

    fn set_pc(&mut self, pc: u64) {
        self.frame.pc = pc;
    }

    fn timer_deadline(&self) -> Option<u64> {
        (self.timer_control & (TIMER_ENABLE | TIMER_MASKED) == TIMER_ENABLE).then_some(self.timer_compare)
    }

    fn debug(&mut self, register: SysReg) -> Option<&mut u64> {
        match register {
            SysReg(2, 0, 0, 2, 2) => Some(&mut self.debug_control),
            SysReg(2, 0, 0, n, kind @ 4..=7) => self.debug.get_mut(usize::from(n))?.get_mut(usize::from(kind) - 4),
            _ => None,
        }
    }

    /// What was done here was the step.
    fn skip_instruction(&mut self) {
        self.frame.pc = self.frame.pc.wrapping_add(4);
        self.frame.pstate &= !STEP;
    }
}

impl Exit {
    /// Reads from the vCPU page why the guest left. `read` reads a double word of guest memory at
    /// an aligned guest physical address (nothing if there is none); only used to look at an
    /// instruction that the processor doesn't describe.
    #[must_use]
    pub fn of(guest: &Guest, mut read: impl FnMut(u64) -> Option<u64>) -> Self {
        match GuestExit::from_number(guest.exit) {
            Some(GuestExit::Sync) => {
                let syndrome = Syndrome { esr: guest.syndrome, ipa: guest.ipa, instruction: None };
                match Self::decode(&syndrome) {
                    Self::Fault(Fault { kind: FaultKind::UndescribedAccess, .. }) => {
                        Self::decode(&Syndrome { instruction: fetch(guest, &mut read), ..syndrome })
                    }
                    exit => exit,
                }
            }
            // The kernel has masked the timer: nothing physical is left to be ended.
            Some(GuestExit::Timer) => Self::VirtualTimer { linked: false },
            Some(GuestExit::Event | GuestExit::Maintenance) => Self::Interrupted,
            None => unknown_exit(guest.exit),
        }
    }
}

/// Reads the instruction at the guest's program counter, through its tables.
fn fetch(guest: &Guest, read: &mut impl FnMut(u64) -> Option<u64>) -> Option<u32> {
    let [control, lower, upper] = guest.translation;
    let tables = Tables { control, roots: [lower, upper] };
    let address = tables.walk(guest.frame.pc & !3, &mut *read)?;
    Some((read(address & !7)? >> (8 * (address & 4))) as u32)
}

impl From<ListRegister> for VirtualInterrupt {
    fn from(register: ListRegister) -> Self {
        Self {
            intid: register.intid,
            priority: register.priority,
            state: match register.state {
                State::Invalid => 0,
                State::Pending => PENDING,
                State::Active => ACTIVE,
                State::PendingActive => PENDING | ACTIVE,
            },
            flags: if register.eoi_maintenance { TELL_END } else { 0 },
            reserved: 0,
        }
    }
}

impl From<VirtualInterrupt> for ListRegister {
    fn from(interrupt: VirtualInterrupt) -> Self {
        Self {
            intid: interrupt.intid,
            priority: interrupt.priority,
            state: match interrupt.state & (PENDING | ACTIVE) {
                0 => State::Invalid,
                PENDING => State::Pending,
                ACTIVE => State::Active,
                _ => State::PendingActive,
            },
            hw: None,
            eoi_maintenance: interrupt.flags & TELL_END != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Mmio;
    use zerocopy::FromZeros;

    #[test]
    fn an_undescribed_access_is_looked_up_in_the_guest() {
        let mut guest = Guest::new_zeroed();
        guest.syndrome = 0x24 << 26 | 0x07;
        guest.ipa = 0x0900_0000;
        guest.frame.pc = 0x1234;
        // 4 KiB granules, 25 bits: two levels.
        guest.translation = [39, 0x8000, 0];
        let memory = |at| match at {
            0x8000 => Some(0x9003),
            0x9008 => Some(0x5003),
            // stp w2, w3, [x1] in the upper half.
            0x5230 => Some(0x2900_0c22_d503_201f),
            _ => None,
        };
        let Exit::Mmio(Mmio { ipa, transfer }) = Exit::of(&guest, memory) else { panic!() };
        assert_eq!((ipa, transfer.elements, transfer.registers), (0x0900_0000, 2, [2, 3]));
        assert!(matches!(Exit::of(&guest, |_| None), Exit::Fault(Fault { kind: FaultKind::UndescribedAccess, .. })));
    }

    #[test]
    fn the_guest_has_debug_registers() {
        let mut guest = Guest::new_zeroed();
        for (index, register) in [(2, 2), (0, 4), (0, 5), (15, 6), (15, 7)].into_iter().enumerate() {
            *guest.debug(SysReg(2, 0, 0, register.0, register.1)).unwrap() = index as u64 + 1;
        }
        assert_eq!(guest.debug_control, 1);
        assert_eq!((guest.debug[0], guest.debug[15]), ([2, 3, 0, 0], [0, 0, 4, 5]));
        assert!(guest.debug(SysReg(2, 0, 1, 0, 4)).is_none(), "OSLAR_EL1");
        (guest.frame.pc, guest.frame.pstate) = (8, STEP | 5);
        guest.skip_instruction();
        assert_eq!((guest.frame.pc, guest.frame.pstate), (12, 5));
    }

    #[test]
    fn list_registers_survive_the_way_through_the_page() {
        for state in [State::Invalid, State::Pending, State::Active, State::PendingActive] {
            for eoi_maintenance in [false, true] {
                let register = ListRegister { intid: 33, priority: 0xa0, state, hw: None, eoi_maintenance };
                assert_eq!(ListRegister::from(VirtualInterrupt::from(register)), register);
            }
        }
    }
}
