// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The local APIC, through its page of registers (Intel SDM, Vol. 3A, §11.4).

use super::{SPURIOUS, TIMER};
use crate::instructions as cpu;
use crate::mmio::Registers;

const ID: u16 = 0x20;
const TASK_PRIORITY: u16 = 0x80;
const END: u16 = 0xb0;
const SPURIOUS_VECTOR: u16 = 0xf0;
const COMMAND_LOW: u16 = 0x300;
const COMMAND_HIGH: u16 = 0x310;
const LVT_TIMER: u16 = 0x320;
const LVT_THERMAL: u16 = 0x330;
const LVT_COUNTERS: u16 = 0x340;
const LVT_PIN0: u16 = 0x350;
const LVT_PIN1: u16 = 0x360;
const LVT_ERROR: u16 = 0x370;
const TIMER_INITIAL: u16 = 0x380;
const TIMER_CURRENT: u16 = 0x390;
const TIMER_DIVIDE: u16 = 0x3e0;

/// Spurious-interrupt vector register: the APIC is on.
const ENABLE: u32 = 1 << 8;
/// Local vector table: masked.
const MASKED: u32 = 1 << 16;
/// Local vector table: delivered as NMI.
const NMI: u32 = 4 << 8;
/// Local vector table, timer: by the time-stamp counter's deadline.
const DEADLINE: u32 = 2 << 17;
/// Divide configuration: by one.
const BY_ONE: u32 = 0b1011;
/// Interrupt command: assert.
const ASSERT: u32 = 1 << 14;
/// Interrupt command: not yet sent.
const BUSY: u32 = 1 << 12;
/// How often the command register is polled before it is taken as it is: far longer than a message
/// takes to leave, and bounded, since interrupts are masked meanwhile.
const PATIENCE: u32 = 1000;
/// Interrupt command: to this core.
pub(crate) const SELF: u32 = 1 << 18;
/// Interrupt command: reset.
pub(crate) const INIT: u32 = 5 << 8;
/// Interrupt command: begin in real mode at page n; n is added.
pub(crate) const STARTUP: u32 = 6 << 8;

/// The local APIC of the core that uses this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    registers: Registers,
}

impl Local {
    /// Takes the registers.
    pub(crate) const fn new(registers: Registers) -> Local {
        Local { registers }
    }

    /// Switches the APIC on, all local sources masked but NMI and the timer, which counts or
    /// compares with the time-stamp counter.
    pub(crate) fn begin(self, deadline: bool) {
        let r = self.registers;
        r.write(SPURIOUS_VECTOR, ENABLE | SPURIOUS as u32);
        for masked in [LVT_THERMAL, LVT_COUNTERS, LVT_PIN0, LVT_ERROR] {
            r.write(masked, MASKED);
        }
        r.write(LVT_PIN1, NMI);
        r.write(TIMER_DIVIDE, BY_ONE);
        r.write(TIMER_INITIAL, 0);
        r.write(LVT_TIMER, if deadline { DEADLINE } else { 0 } | TIMER as u32);
        // The mode is set by a store, deadlines by WRMSR, which nothing else orders (SDM Vol. 3A,
        // §11.5.4.1).
        // SAFETY: a barrier changes nothing.
        unsafe { cpu::mfence() };
        r.write(TASK_PRIORITY, 0);
    }

    /// Starts counting down without an interrupt, to measure the timer's frequency.
    pub(crate) fn count_down(self) {
        self.registers.write(LVT_TIMER, MASKED | TIMER as u32);
        self.registers.write(TIMER_DIVIDE, BY_ONE);
        self.registers.write(TIMER_INITIAL, u32::MAX);
    }

    /// What is left of the count.
    pub(crate) fn count(self) -> u32 {
        self.registers.read(TIMER_CURRENT)
    }

    /// Sets the count after which the timer interrupts; 0 stops it.
    pub(crate) fn set_count(self, count: u32) {
        self.registers.write(TIMER_INITIAL, count);
    }

    /// The number of this core's APIC.
    pub(crate) fn id(self) -> u8 {
        (self.registers.read(ID) >> 24) as u8
    }

    /// Ends the interrupt that is being served.
    pub(crate) fn end(self) {
        self.registers.write(END, 0);
    }

    /// Waits until the latest command has left: a new one would overwrite it.
    fn settle(self) {
        for _ in 0..PATIENCE {
            if self.registers.read(COMMAND_LOW) & BUSY == 0 {
                return;
            }
            core::hint::spin_loop();
        }
    }

    /// Sends a command to the core whose APIC has this number: a vector, [`INIT`] or [`STARTUP`] (SDM
    /// Vol. 3A, §9.4.4); [`SELF`] with a vector, to this one.
    pub(crate) fn send(self, apic: u8, command: u32) {
        self.settle();
        self.registers.write(COMMAND_HIGH, u32::from(apic) << 24);
        self.registers.write(COMMAND_LOW, ASSERT | command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_manual() {
        // SDM Vol. 3A, figure 11-12 and §9.4.4.1: the values that the example code writes.
        assert_eq!(ASSERT | INIT, 0x4500);
        assert_eq!(ASSERT | STARTUP | 8, 0x4608);
        assert_eq!(SELF | ASSERT | 0x34, 0x4_4034);
        assert_eq!(ENABLE | SPURIOUS as u32, 0x1ff);
        assert_eq!(DEADLINE, 0x4_0000);
        assert_eq!(NMI, 0x400);
    }
}
