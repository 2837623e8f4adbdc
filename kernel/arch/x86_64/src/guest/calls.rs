// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The calls of guest partitions: page tables, flushes, segments (`parzelle_abi::x86_64::GuestCall`).
//!
//! Each does one step of the service, which is bounded, and says whether it has to be called again.

use super::Guest;
use super::segments::{Local, checked};
use super::sides::FLAGS;
use crate::context::MADE;
use crate::descriptors::{USER_CODE, USER_DATA};
use crate::instructions as cpu;
use crate::machine::{Core, Processor, Space};
use crate::registers::sanitised;
use core::mem::offset_of;
use core::sync::atomic::Ordering::{Relaxed, Release};
use parzelle_abi::Error;
use parzelle_abi::x86_64::{self as abi, AGAIN, GuestCall, LATER, NO_ROOT, RESUME_FAST, RESUME_FULL};
use parzelle_core::machine::Machine;
use parzelle_tables::{Element, Progress, Queue};

/// The value of a call, or the status that refuses it. No value: the caller's registers are another's.
type Reply = Result<Option<u64>, u64>;

/// Does such a call for the current vCPU; `false` if there is none of this number for it.
pub(crate) fn call(core: &mut Core, number: u64, arguments: [u64; 5]) -> bool {
    let machine = &mut core.machine;
    let Some(guest) = machine.space.guest.filter(|_| machine.has_guest()) else { return false };
    let reply = machine.guest_call(guest, number, arguments);
    match reply {
        Ok(None) => {}
        // All but rax is the guest's.
        Ok(Some(_)) | Err(_) if number >= RESUME_FULL => machine.registers().rax = AGAIN,
        Ok(Some(value)) => machine.set_result(0, value),
        Err(status) => machine.set_result(status, 0),
    }
    true
}

/// A shim resumes its guest with something in the queue: does a step of that; whether it was the last.
///
/// # Safety
/// Only for the entry, as `parzelle_call`: `core` is this core's state, and nobody else uses it until this returns.
#[unsafe(no_mangle)]
unsafe extern "C" fn parzelle_drain(core: *mut Core) -> bool {
    // SAFETY: see above; interrupts are masked, so no other entry makes a second reference.
    let machine = unsafe { &mut (*core).machine };
    let page = &mut machine.vcpu_page();
    let tables = machine.space.guest.and_then(|guest| guest.tables.try_lock());
    tables.is_some_and(|mut tables| tables.drain(page).is_ok() && page.count() == 0)
}

/// A queue of one element, which was read once.
struct One(u64, u64);

impl Queue for One {
    fn count(&self) -> u64 {
        self.0
    }

    fn set_count(&mut self, count: u64) {
        self.0 = count;
    }

    fn element(&self, _slot: usize) -> u64 {
        self.1
    }

    fn set_element(&mut self, _slot: usize, _element: u64) {}
}

impl Processor {
    fn guest_call(&mut self, guest: &'static Guest, number: u64, [a, b, c, ..]: [u64; 5]) -> Reply {
        let call = GuestCall::from_number(number);
        // Segments have nothing to do with tables.
        if call == Some(GuestCall::SetDescriptor) {
            let segment = checked(b).ok_or(Error::InvalidArgument as u64)?;
            let known = self.set_segment(a, segment);
            return if known { Ok(Some(0)) } else { Err(Error::InvalidArgument as u64) };
        }
        // Who would have to wait for another core calls again: interrupts are masked here.
        let Some(mut tables) = guest.tables.try_lock() else { return Ok(Some(LATER)) };
        // What is queued holds before anything else does. Both in one call would take too long, but for one entry.
        let mut page = self.vcpu_page();
        let (queued, first) = (page.count(), page.element(0));
        if queued == 1 && Element(first).is_one() && call != Some(GuestCall::Drain) {
            // An entry that is refused is absent; the caller of something else is not told.
            let drained = tables.drain(&mut One(1, first));
            page.set_count(0);
            // But a reference is as much as two of these leave room for.
            if drained != Ok(Progress::Done) && number <= GuestCall::Destroy as u64 {
                return Ok(Some(LATER));
            }
        } else if queued != 0 {
            let drained = tables.drain(&mut page);
            if call != Some(GuestCall::Drain) {
                return Ok(Some(LATER));
            }
            drained.map_err(|error| error as u64)?;
            return Ok(Some(if page.count() == 0 { 0 } else { AGAIN }));
        }
        let progress = match call {
            Some(GuestCall::Create) => tables.create(a, b, c),
            Some(GuestCall::Fill) => tables.fill(a, b),
            Some(GuestCall::Write) => tables.write(a, b, c).map(|()| Progress::Done),
            Some(GuestCall::Destroy) => tables.destroy(a),
            Some(GuestCall::Drain) => Ok(Progress::Done),
            Some(GuestCall::SetRoots) => {
                let frames = [a, b].map(|frame| (frame != NO_ROOT).then_some(frame));
                // They are loaded before the lock is given up, and the old ones with it.
                tables.set_roots(self.index as usize, frames).map(|roots| {
                    self.sides().roots = roots;
                    self.load_root();
                    Progress::Done
                })
            }
            Some(GuestCall::Flush) => return Ok(Some(self.flush_vcpus(guest, a, b))),
            #[cfg(feature = "audit")]
            _ if number == super::audit::AUDIT => {
                // It takes the lock itself.
                drop(tables);
                return Ok(Some(Processor::audit_guest(guest)));
            }
            _ if number == RESUME_FAST => {
                self.resume_guest();
                return Ok(None);
            }
            _ => return Err(Error::UnknownCall as u64),
        };
        let progress = progress.map_err(|error| error as u64)?;
        Ok(Some(match progress {
            Progress::Done => 0,
            Progress::Again => AGAIN,
            Progress::Flush(generation) => {
                // Nothing is made yet, even if nobody has to be waited for.
                self.flush_cores(guest, generation, u64::MAX);
                LATER
            }
        }))
    }

    /// Flushes the TLBs of vCPUs; or, for a generation, asks whether theirs have passed that: 0, or the generation.
    fn flush_vcpus(&mut self, guest: &Guest, vcpus: u64, asked: u64) -> u64 {
        let chosen = guest.vcpus.iter().enumerate().filter(|(index, _)| vcpus >> (index & 63) & 1 != 0);
        let cores = chosen.fold(0, |cores, (_, (core, _))| cores | 1u64 << (core & 63));
        // Nobody else has to be told, or to be waited for.
        if asked == 0 && cores == 1 << (self.number & 63) {
            self.load_root();
            return 0;
        }
        if asked != 0 {
            return guest.tlb.unpassed(asked, cores).map_or(0, |_| asked);
        }
        self.flush_cores(guest, guest.tlb.round(), cores)
    }

    /// Has cores pass a generation; 0 if they have, else the generation.
    fn flush_cores(&mut self, guest: &Guest, generation: u64, cores: u64) -> u64 {
        self.pass(guest);
        let mut left = cores;
        while let Some(core) = guest.tlb.unpassed(generation, left) {
            self.kick(core);
            left &= !(1 << (core & 63));
        }
        guest.tlb.unpassed(generation, cores).map_or(0, |_| generation)
    }

    /// Empties this core's TLB, if somebody waits for that.
    fn pass(&mut self, guest: &Guest) {
        if guest.tlb.is_behind(self.number as usize) {
            guest.tlb.pass(self.number as usize, || self.load_root());
        }
    }

    /// Goes on in the guest context where `sysret` can't: at an address of the upper half, or with a single step.
    /// (All else the entry has done.)
    fn resume_guest(&mut self) {
        let page = self.vcpu_page();
        let get = |field| page.guest(field);
        let [rip, rflags] = [offset_of!(abi::Guest, rip), offset_of!(abi::Guest, rflags)].map(get);
        let registers = self.registers();
        registers.rax = get(offset_of!(abi::Guest, rax));
        (registers.rip, registers.rsp, registers.vector) = (rip, get(offset_of!(abi::Guest, rsp)), MADE);
        registers.rflags = (rflags & FLAGS) | sanitised(0);
        let [_, _, _, r11, ..] = &mut registers.r;
        (registers.rcx, *r11) = (rip, registers.rflags);
        (registers.cs, registers.ss) = (u64::from(USER_CODE), u64::from(USER_DATA));
        self.sides().set_guest();
        self.load_root();
    }

    /// Empties this core's TLB, if another core waits for that.
    pub(crate) fn forget(&mut self) {
        if let Some(guest) = self.space.guest {
            self.pass(guest);
        }
    }

    /// Takes everything from the guest of a partition that restarts, one step at a time; `true`: there is more.
    pub(crate) fn reset_guest(&mut self, partition: u32) -> bool {
        let Some(&Space { root, guest: Some(guest), .. }) = self.module.spaces.get(partition as usize) else {
            return false;
        };
        // Any partition may be loaded, whose context only its own root shows; and pool and LDTs only that of the guest.
        let loaded = self.loaded_root();
        // SAFETY: it maps the kernel as any root does.
        unsafe { cpu::write_cr3(root) };
        let cleared = guest.cleared.load(Relaxed);
        let more = match guest.vcpus.get(cleared / 2) {
            Some(&(_, context)) => {
                // SAFETY: the second page of its context; the vCPU has stopped.
                unsafe { Local::of(context) }.clear(cleared as u64 % 2);
                true
            }
            None => guest.tables.lock().reset() != Progress::Done,
        };
        guest.cleared.store(if more { (cleared + 1).min(guest.vcpus.len() * 2) } else { 0 }, Relaxed);
        // SAFETY: what was loaded.
        unsafe { cpu::write_cr3(loaded) };
        if !more {
            guest.life.fetch_add(1, Release);
            // What the start would do, where more is to be done.
            if self.space.root == root {
                self.enter_sides();
            }
        }
        more
    }
}

#[cfg(test)]
mod tests;
