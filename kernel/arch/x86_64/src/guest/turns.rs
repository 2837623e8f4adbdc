// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest vCPU's sides: from one context to the other, and what a switch has to keep of them.

use super::Guest;
use super::sides::{LOCAL_TABLE, SIDES, Sides};
use crate::context::Context;
use crate::descriptors::{GUESTS, LOCAL, USER_CODE, USER_DATA, is_readable, local};
use crate::instructions as cpu;
use crate::layout::{PAGE, private};
use crate::machine::Processor;
use crate::registers::sanitised;
use core::mem::offset_of;
use parzelle_abi::x86_64::{self as abi, VECTORS, vector};
use parzelle_core::machine::Upcall;
use parzelle_plan::VCPU_GUEST;

/// [`abi::Guest::vector`] of an event.
const EVENT: u64 = 256;

/// An entry of an LDT.
fn entry(context: u64, index: u64) -> *mut u64 {
    (context + LOCAL_TABLE + (index % abi::LDT_ENTRIES) * 8) as *mut u64
}

impl Processor {
    /// Whether the loaded vCPU has a guest.
    pub(crate) const fn has_guest(&self) -> bool {
        self.flags & VCPU_GUEST != 0
    }

    /// The sides of the loaded vCPU.
    pub(super) fn sides(&mut self) -> &mut Sides {
        // SAFETY: in the loaded context's page, as `registers`; only this core uses it.
        unsafe { &mut *((self.context + SIDES) as *mut Sides) }
    }

    /// The root of the loaded vCPU.
    pub(super) fn loaded_root(&mut self) -> u64 {
        // None before its first start.
        match if self.has_guest() { self.sides().root() } else { 0 } {
            0 => self.space.root,
            root => root,
        }
    }

    /// Loads it: the TLB is empty then.
    pub(crate) fn load_root(&mut self) {
        let root = self.loaded_root();
        // SAFETY: the partition's own, or one that the page-table service vouches for: it has the kernel's slots.
        unsafe { cpu::write_cr3(root) };
    }

    /// Gives the loaded vCPU its first sides.
    pub(crate) fn begin_sides(&mut self) {
        let page = private(self.page);
        *self.sides() = match self.space.guest {
            Some(guest) => Sides::shim(page, self.page_virtual, [self.space.root, guest.empty]),
            None => return *self.sides() = Sides::NONE,
        };
        // SAFETY: the second page of its context, which only this core uses.
        unsafe { cpu::zero(entry(self.context, 0), (PAGE / 8) as usize) };
        self.load_sides();
        self.load_root();
    }

    /// Keeps the segment registers of the loaded vCPU, and takes its segments from the processor.
    pub(crate) fn save_sides(&mut self) {
        // SAFETY: it only reads.
        self.sides().selectors = unsafe { cpu::segments() };
        GUESTS.into_iter().for_each(|slot| self.block.gdt[slot % 16] = 0);
        // SAFETY: none is always right.
        unsafe { cpu::load_local(0) };
    }

    /// The loaded vCPU was another just now: loads its root, segments and segment registers. Which root that is says the
    /// service: what the context has may be from before a restart.
    pub(crate) fn enter_sides(&mut self) {
        if let Some(guest) = self.space.guest {
            self.sides().roots = guest.tables.lock().roots(self.index as usize);
        }
        self.load_root();
        self.load_sides();
    }

    /// Gives the processor the loaded vCPU's segments, then its segment registers. Changes their bases.
    fn load_sides(&mut self) {
        let &mut Sides { segments, selectors, .. } = self.sides();
        for (slot, segment) in GUESTS.into_iter().zip(segments) {
            self.block.gdt[slot % 16] = segment;
        }
        let [low, high] = local(self.context + LOCAL_TABLE, PAGE);
        self.block.gdt[LOCAL as usize / 8] = low;
        self.block.gdt[LOCAL as usize / 8 + 1] = high;
        // SAFETY: describes the page behind the context, where nothing stands but what `checked` has let pass.
        unsafe { cpu::load_local(LOCAL) };
        // One that has been changed since it was loaded is null now.
        let [ds, es, fs, gs] = selectors.map(|selector| if self.is_loadable(selector) { selector } else { 0 });
        // SAFETY: that was just looked at; the bases are loaded next.
        unsafe { cpu::load_segments(ds, es, fs, gs) };
    }

    fn is_loadable(&self, selector: u16) -> bool {
        let index = selector / 8;
        is_readable(if selector & 4 == 0 {
            self.block.gdt.get(index as usize).copied().unwrap_or(0)
        } else if u64::from(index) < abi::LDT_ENTRIES {
            // SAFETY: in the second page of the context, which only this core uses.
            unsafe { entry(self.context, index.into()).read() }
        } else {
            0
        })
    }

    /// Puts a checked segment into the place that `index` names, for the processor as well. `false`: there is none.
    pub(super) fn set_segment(&mut self, index: u64, segment: u64) -> bool {
        if let Some(place) = GUESTS.iter().position(|&slot| slot as u64 == index) {
            self.sides().segments[place] = segment;
            self.block.gdt[GUESTS[place] % 16] = segment;
        } else if index >> 16 == 1 && index & 0xffff < abi::LDT_ENTRIES {
            // SAFETY: as above.
            unsafe { entry(self.context, index & 0xffff).write_volatile(segment) };
        } else {
            return false;
        }
        true
    }

    /// Whether the shim runs: it is not interrupted. It is told that there is something for it.
    pub(crate) fn shim_is_busy(&mut self) -> bool {
        let rip = self.registers().rip;
        if self.sides().is_foreign(rip) {
            return false;
        }
        self.vcpu_page().set_guest(offset_of!(abi::Guest, pending), 1);
        if (VECTORS + vector::EXITS..VECTORS + vector::END).contains(&rip) {
            // On its way out: it looks again.
            self.registers().rip = rip & !63;
        }
        true
    }

    /// Tells the shim of an event that foreign code was interrupted by.
    pub(crate) fn reflect(&mut self, upcall: &Upcall) {
        let page = self.vcpu_page();
        let Context { rax, rcx, r: [_, _, _, r11, ..], rip, cs, rflags, rsp, ss, .. } = *self.registers();
        let words = [rip, cs, rflags, rsp, ss, rax, rcx, r11, EVENT];
        words.into_iter().enumerate().for_each(|(place, word)| page.set_guest(8 * place, word));
        page.set_upcall(upcall);
        let sides = self.sides();
        let (entry, stack) = (sides.vectors + vector::GUEST_EVENT, sides.page_user);
        sides.set_host();
        self.load_root();
        let registers = self.registers();
        registers.leave_for(entry, stack, 0);
        (registers.cs, registers.ss) = (u64::from(USER_CODE), u64::from(USER_DATA));
    }

    /// After an exception: if it was one of the shim's that it has foreseen, it goes on where that is mended.
    pub(crate) fn repair(&mut self, address: u64) -> bool {
        let Context { vector: exception, error, rip, .. } = *self.registers();
        if !self.has_guest() || !(VECTORS + vector::GUARDED..VECTORS + vector::END).contains(&rip) {
            return false;
        }
        let page = self.vcpu_page();
        page.set_guest(offset_of!(abi::Guest, vector), exception);
        page.set_guest(offset_of!(abi::Guest, error), error);
        page.set_guest(offset_of!(abi::Guest, address), address);
        let registers = self.registers();
        (registers.rip, registers.rflags) = (VECTORS + vector::REPAIR, sanitised(0));
        true
    }

    /// The vCPU, which is loaded, has stopped: nothing of its guest's tables is used any more.
    pub(crate) fn leave_tables(&mut self, guest: &Guest) {
        self.sides().roots = [self.space.root, guest.empty];
        self.sides().set_host();
        self.load_root();
    }
}

// `reflect` writes them one behind the other.
const _: () = assert!(offset_of!(abi::Guest, r11) == 8 * 7 && offset_of!(abi::Guest, vector) == 8 * 8);
