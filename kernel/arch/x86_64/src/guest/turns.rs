// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest vCPU's sides: from one context to the other, and what a switch has to keep of them.

use super::Guest;
use super::sides::{SIDES, Sides};
use crate::context::Context;
use crate::instructions as cpu;
use crate::layout::private;
use crate::machine::Processor;
use crate::registers::sanitised;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Acquire;
use parzelle_abi::x86_64::{self as abi, VECTORS, vector};
use parzelle_core::machine::Upcall;
use parzelle_plan::{VCPU_GUEST, VcpuRecord};

/// [`abi::Guest::vector`] of an event.
const EVENT: u64 = 256;

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
        if self.has_guest() { self.sides().root() } else { self.space.root }
    }

    /// Loads it: the TLB is empty then.
    pub(crate) fn load_root(&mut self) {
        let root = self.loaded_root();
        // SAFETY: the partition's own, or one that the page-table service vouches for: it has the kernel's slots.
        unsafe { cpu::write_cr3(root) };
    }

    /// Makes the loaded vCPU's sides new ones, if they are from before a restart; whether they were.
    fn renew_sides(&mut self, guest: &Guest) -> bool {
        let life = guest.life.load(Acquire);
        if self.sides().life == life {
            return false;
        }
        let (page, roots) = (private(self.page), [self.space.root, guest.empty]);
        *self.sides() = Sides::shim(page, self.page_virtual, roots, life);
        true
    }

    /// The loaded vCPU starts.
    pub(crate) fn begin_sides(&mut self) {
        let Some(guest) = self.space.guest else { return self.sides().own_end = Sides::NONE.own_end };
        if self.renew_sides(guest) {
            self.load_root();
            self.load_sides();
        }
        let page = self.vcpu_page();
        page.set_guest(offset_of!(abi::Guest, pending), 0);
        page.set_guest(offset_of!(abi::Guest, queued), 0);
    }

    /// The loaded vCPU was another just now: loads its root, segments and segment registers.
    #[cold]
    pub(crate) fn enter_sides(&mut self) {
        if let Some(guest) = self.space.guest {
            self.renew_sides(guest);
        }
        self.load_root();
        self.load_sides();
    }

    /// Whether the shim runs: it is not interrupted. It is told that there is something for it.
    #[cold]
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
    #[cold]
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
        self.registers().leave_for(entry, stack, 0);
    }

    /// After an exception: if it was one of the shim's that it has foreseen, it goes on where that is mended.
    pub(crate) fn repair(&mut self, address: u64) -> bool {
        self.has_guest() && self.repair_shim(address)
    }

    #[cold]
    fn repair_shim(&mut self, address: u64) -> bool {
        let Context { vector: exception, error, rip, .. } = *self.registers();
        if !(VECTORS + vector::GUARDED..VECTORS + vector::END).contains(&rip) {
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

    /// A vCPU has stopped. If it is loaded, nothing of its guest's tables is used any more.
    pub(crate) fn leave_tables(&mut self, vcpu: &VcpuRecord) {
        if self.has_guest()
            && self.context == private(vcpu.context)
            && let Some(guest) = self.space.guest
        {
            self.sides().roots = [self.space.root, guest.empty];
            self.sides().set_host();
            self.load_root();
        }
    }

    /// Loads another partition's root, where one of the two has a guest.
    #[cold]
    pub(crate) fn change_root(&self, before: Option<&Guest>, next: Option<&Guest>, load: impl FnOnce()) {
        let core = self.number as usize;
        let load = || match next {
            Some(guest) => guest.tlb.enter(core, load),
            None => load(),
        };
        match before {
            Some(guest) => guest.tlb.leave(core, load),
            None => load(),
        }
    }
}

// `reflect` writes them one behind the other.
const _: () = assert!(offset_of!(abi::Guest, r11) == 8 * 7 && offset_of!(abi::Guest, vector) == 8 * 8);
