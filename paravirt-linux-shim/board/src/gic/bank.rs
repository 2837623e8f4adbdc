// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! 32 interrupts side by side: one bit of each word per interrupt, as in the registers.

/// The private interrupts that are SGIs: always edge-triggered.
const SGIS: u32 = 0xffff;
/// Priorities have five bits: the fewest that a processor's virtual CPU interface has, so none is
/// lost on the way.
const PRIORITY_MASK: u8 = 0xf8;

/// A register that holds something for each of 32 interrupts (or for those of them that fit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
    /// Four priorities, from this interrupt of the bank on.
    Priority(u8),
    /// Sixteen trigger modes, from this interrupt of the bank on.
    Config(u8),
}

/// The state of 32 interrupts.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    pub(super) enabled: u32,
    pub(super) group1: u32,
    /// Pending until delivered: an edge, an SGI, a write to `ISPENDR`.
    pub(super) latch: u32,
    /// The level of the wire. Counts as pending if the interrupt is level-triggered.
    pub(super) line: u32,
    pub(super) active: u32,
    pub(super) edge: u32,
    /// In a list register of a vCPU that runs.
    pub(super) held: u32,
    /// Of these, those whose end makes the guest leave.
    watched: u32,
    /// Pending or active on behalf of a physical interrupt that the guest has to end.
    pub(super) linked: u32,
    pub(super) priority: [u8; 32],
    /// The trigger modes that can't be changed.
    fixed: u32,
}

impl Bank {
    /// The private interrupts of a vCPU after reset.
    pub(super) const fn private() -> Self {
        Self { edge: SGIS, fixed: SGIS, ..Self::shared() }
    }

    /// Shared interrupts after reset: disabled, level-triggered.
    pub(super) const fn shared() -> Self {
        Self {
            enabled: 0,
            group1: 0,
            latch: 0,
            line: 0,
            active: 0,
            edge: 0,
            held: 0,
            watched: 0,
            linked: 0,
            priority: [0; 32],
            fixed: 0,
        }
    }

    /// Sets the wires in `mask` to one level.
    pub(super) fn set_line(&mut self, mask: u32, high: bool) {
        if high {
            self.latch |= mask & self.edge & !self.line;
            self.line |= mask;
        } else {
            self.line &= !mask;
        }
    }

    /// Makes the interrupts in `mask` pending on behalf of physical ones.
    pub(super) fn raise_linked(&mut self, mask: u32) {
        self.linked |= mask;
        self.latch |= mask;
    }

    /// The interrupts that behave as edges: pending once, until delivered.
    pub(super) fn once(&self) -> u32 {
        self.edge | self.linked
    }

    /// Everything pending, as `ISPENDR` shows it.
    pub(super) fn pending(&self) -> u32 {
        self.latch | (self.line & !self.edge)
    }

    /// Everything that is pending in any way, or active.
    #[inline]
    pub(super) fn busy(&self) -> u32 {
        self.latch | self.line | self.active
    }

    /// What wants to be delivered now. An interrupt that is active can't be delivered again before
    /// its end, but the processor can remember one more edge of it.
    pub(super) fn deliverable(&self) -> u32 {
        let one_more = self.active & !(self.edge & !self.linked);
        self.pending() & self.enabled & self.group1 & !self.held & !one_more
    }

    /// What happened again since it went into a list register, and nobody will look at before the
    /// guest leaves for some other reason: its vCPU has to be told.
    pub(super) fn again(&self) -> u32 {
        let again = (self.latch & self.once()) | (self.line & !self.once() & !self.watched);
        again & self.held & self.enabled & self.group1
    }

    /// An interrupt goes into a list register. What is pending once is pending there now.
    /// `watched`: the guest leaves when it ends it.
    pub(super) fn give(&mut self, bit: u32, pending: bool, watched: bool) {
        self.held |= bit;
        self.watched = if watched { self.watched | bit } else { self.watched & !bit };
        if pending {
            self.latch &= !(bit & self.once());
        }
    }

    /// An interrupt comes back from a list register; nothing happens if it wasn't in one.
    pub(super) fn take_back(&mut self, bit: u32, pending: bool, active: bool) {
        if self.held & bit == 0 {
            return;
        }
        let given_pending = self.active & bit == 0;
        self.held &= !bit;
        self.active = if active { self.active | bit } else { self.active & !bit };
        if self.once() & bit != 0 {
            self.latch |= if pending { bit } else { 0 };
        } else if given_pending && !pending {
            // Level-triggered: pending as long as its line is high. One that was set by hand has
            // been taken now.
            self.latch &= !bit;
        }
        if !pending && !active {
            self.linked &= !bit;
        }
    }

    /// Reads a register.
    pub(super) fn read(&self, register: Register) -> u32 {
        match register {
            Register::Group => self.group1,
            Register::SetEnable | Register::ClearEnable => self.enabled,
            Register::SetPending | Register::ClearPending => self.pending(),
            Register::SetActive | Register::ClearActive => self.active,
            Register::Priority(first) => {
                (0..4).fold(0, |word, n| word | u32::from(self.priority[usize::from(first & 28) + n]) << (8 * n))
            }
            Register::Config(first) => {
                (0..16).fold(0, |word, n| word | (self.edge >> (first & 16) >> n & 1) << (2 * n + 1))
            }
        }
    }

    /// Writes those bits of a register that are set in `lanes`. Returns the linked interrupts that
    /// were deactivated.
    pub(super) fn write(&mut self, register: Register, value: u32, lanes: u32) -> u32 {
        let bits = value & lanes;
        match register {
            Register::Group => self.group1 = (self.group1 & !lanes) | bits,
            Register::SetEnable => self.enabled |= bits,
            Register::ClearEnable => self.enabled &= !bits,
            Register::SetPending => self.latch |= bits,
            // What is physically active stays pending: the guest still has to end it.
            Register::ClearPending => self.latch &= !(bits & !self.linked),
            Register::SetActive => self.active |= bits,
            Register::ClearActive => {
                let released = self.active & bits & self.linked;
                self.active &= !bits;
                self.linked &= !released;
                return released;
            }
            Register::Priority(first) => {
                for n in 0..4 {
                    if lanes >> (8 * n) & 0xff == 0xff {
                        self.priority[usize::from(first & 28) + n] = (value >> (8 * n)) as u8 & PRIORITY_MASK;
                    }
                }
            }
            Register::Config(first) => {
                for n in 0..16 {
                    let bit = 1 << (first & 16) << n;
                    if lanes >> (2 * n + 1) & 1 == 1 && self.fixed & bit == 0 {
                        let edge = value >> (2 * n + 1) & 1 == 1;
                        self.edge = if edge { self.edge | bit } else { self.edge & !bit };
                    }
                }
            }
        }
        0
    }
}
