// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the controller's state to list registers, and back.
//!
//! The shim says what a list register shall mean; the kernel composes the real one (and refuses a
//! `hw` that isn't the partition's). Folding everything back at each exit and choosing anew at each
//! entry costs a few instructions when little is pending, and leaves one truth instead of two.

use super::{Bank, Gic, Redistributor, Shared};

/// How far an interrupt in a list register is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Ended, or never there.
    #[default]
    Invalid,
    /// The guest has not taken it yet.
    Pending,
    /// The guest handles it.
    Active,
    /// The guest handles it, and it happened once more.
    PendingActive,
}

/// What a list register shall mean, or means after an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListRegister {
    /// The interrupt's number as the guest sees it.
    pub intid: u32,
    /// Its priority: smaller is more urgent.
    pub priority: u8,
    /// How far it is.
    pub state: State,
    /// The physical interrupt that ends with it.
    pub hw: Option<u32>,
    /// The guest shall leave when it ends the interrupt: its line may still be high, or others wait
    /// for a free register. Never set together with `hw`.
    pub eoi_maintenance: bool,
}

impl ListRegister {
    /// Tells whether the guest needs this one more than `other`. What it already handles goes
    /// first: without its list register it could not end it.
    fn is_before(&self, other: &Self) -> bool {
        let key = |register: &Self| (register.state == State::Pending, register.priority, register.intid);
        key(self) < key(other)
    }
}

impl State {
    fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::PendingActive)
    }

    fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::PendingActive)
    }
}

impl Gic {
    /// Tells whether an interrupt waits for `vcpu` that isn't in one of its list registers.
    #[must_use]
    pub fn is_deliverable(&self, vcpu: usize) -> bool {
        let private = self.redistributors.get(vcpu).is_some_and(|one| one.bank.deliverable() != 0);
        self.enabled && (private || self.shared.iter().any(|one| one.deliverable_to(vcpu) != 0))
    }

    /// Tells whether `vcpu`, which may be in the guest, would see more if it left and were entered
    /// again: an interrupt waits that isn't in a list register, or one that is has happened again.
    #[must_use]
    pub fn has_news(&self, vcpu: usize) -> bool {
        let private = self.redistributors.get(vcpu).is_some_and(|one| one.bank.again() != 0);
        let shared = || self.shared.iter().any(|one| one.only(one.bank.again(), |bit| one.has(vcpu, bit)) != 0);
        self.is_deliverable(vcpu) || (self.enabled && (private || shared()))
    }

    /// Tells whether nothing is pending, raised or being handled that `vcpu` could see: then
    /// [`Gic::fill`] has nothing to give. The usual case, so it is worth a short way.
    #[must_use]
    #[inline]
    pub fn is_idle(&self, vcpu: usize) -> bool {
        let private = self.redistributors.get(vcpu).map_or(0, |redistributor| redistributor.bank.busy());
        self.shared.iter().fold(private, |busy, shared| busy | shared.bank.busy()) == 0
    }

    /// Fills `registers` with what `vcpu` shall see next and returns how many are used; the rest
    /// become invalid.
    pub fn fill(&mut self, vcpu: usize, registers: &mut [ListRegister]) -> usize {
        registers.fill(ListRegister::default());
        let gate = if self.enabled { u32::MAX } else { 0 };
        let mut list = List { registers, used: 0, overflow: false };
        if let Some(Redistributor { bank, .. }) = self.redistributors.get(vcpu) {
            list.offer(bank, 0, bank.active, bank.deliverable() & gate);
        }
        for (shared, base) in self.shared.iter().zip((32..).step_by(32)) {
            // Mostly: only the timer's interrupt is, which is private.
            if shared.bank.busy() == 0 {
                continue;
            }
            let active = shared.active_on(vcpu);
            list.offer(&shared.bank, base, active, shared.deliverable_to(vcpu) & gate);
        }
        let List { registers, used, overflow } = list;
        for register in registers.iter_mut().take(used) {
            register.eoi_maintenance |= overflow && register.hw.is_none();
            let bit = register.intid % 32;
            if let Some(shared) = self.shared_of(register.intid) {
                shared.owner[bit as usize] = vcpu as u8;
            }
            if let Some(bank) = self.bank_of(vcpu, register.intid) {
                bank.give(1 << bit, register.state.is_pending(), register.eoi_maintenance);
            }
        }
        used
    }

    /// Takes the list registers of `vcpu` back after an exit. What was not filled by [`Gic::fill`]
    /// is ignored.
    pub fn fold(&mut self, vcpu: usize, registers: &[ListRegister]) {
        for register in registers {
            let bit = register.intid % 32;
            if self.shared_of(register.intid).is_some_and(|one| usize::from(one.owner[bit as usize]) != vcpu) {
                continue;
            }
            if let Some(bank) = self.bank_of(vcpu, register.intid) {
                bank.take_back(1 << bit, register.state.is_pending(), register.state.is_active());
            }
        }
    }

    /// Finds the bank of an interrupt as `vcpu` sees it.
    fn bank_of(&mut self, vcpu: usize, intid: u32) -> Option<&mut Bank> {
        match intid {
            0..=31 => self.redistributors.get_mut(vcpu).map(|redistributor| &mut redistributor.bank),
            _ => self.shared_of(intid).map(|shared| &mut shared.bank),
        }
    }
}

impl Shared {
    /// The interrupts of this bank that `vcpu` handles.
    fn active_on(&self, vcpu: usize) -> u32 {
        self.only(self.bank.active, |bit| self.has(vcpu, bit))
    }

    /// Tells whether `vcpu` is the last that was given this interrupt.
    fn has(&self, vcpu: usize, bit: usize) -> bool {
        usize::from(self.owner[bit]) == vcpu
    }

    /// The interrupts of this bank that want to be delivered to `vcpu`.
    fn deliverable_to(&self, vcpu: usize) -> u32 {
        let routed = self.only(self.bank.deliverable(), |bit| self.route[bit] as usize == vcpu);
        routed & (!self.bank.active | self.active_on(vcpu))
    }

    /// Keeps those of `bits` for which `keep` holds.
    fn only(&self, bits: u32, keep: impl Fn(usize) -> bool) -> u32 {
        each(bits).filter(|bit| keep(*bit as usize)).fold(0, |kept, bit| kept | 1 << bit)
    }
}

/// Iterates over the positions of the bits that are set.
fn each(mut bits: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (bit < 32).then_some(bit)
    })
}

/// List registers that are being filled, the most needed first.
struct List<'a> {
    registers: &'a mut [ListRegister],
    used: usize,
    /// Something did not fit.
    overflow: bool,
}

impl List<'_> {
    /// Offers the interrupts of one bank: those that are active and those that shall be delivered.
    fn offer(&mut self, bank: &Bank, base: u32, active: u32, deliverable: u32) {
        for bit in each(active | deliverable) {
            let linked = bank.linked >> bit & 1 == 1;
            self.insert(ListRegister {
                intid: base + bit,
                priority: bank.priority[bit as usize],
                state: match (active >> bit & 1, deliverable >> bit & 1) {
                    (1, 1) => State::PendingActive,
                    (1, _) => State::Active,
                    _ => State::Pending,
                },
                hw: linked.then_some(base + bit),
                // A line that is still high at the end of its interrupt means the next one; so does
                // one that was raised by hand while the guest still handles the last.
                eoi_maintenance: (bank.line | bank.latch & active) & !bank.once() & 1 << bit != 0,
            });
        }
    }

    fn insert(&mut self, register: ListRegister) {
        let used = self.used;
        let at = self.registers.iter().take(used).position(|old| register.is_before(old)).unwrap_or(used);
        if used == self.registers.len() {
            self.overflow = true;
        } else {
            self.used += 1;
        }
        if let Some(tail) = self.registers.get_mut(at..self.used)
            && let Some(last) = tail.last_mut()
        {
            *last = register;
            tail.rotate_right(1);
        }
    }
}
