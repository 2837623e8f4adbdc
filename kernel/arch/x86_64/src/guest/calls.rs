// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The calls of guest partitions: page tables, flushes, segments (`parzelle_abi::x86_64::GuestCall`).
//!
//! Each does one step of the service, which is bounded, and says whether it has to be called again.

use super::Guest;
use crate::context::MADE;
use crate::descriptors::{USER_CODE, USER_DATA, checked};
use crate::instructions as cpu;
use crate::machine::{Core, Processor};
use crate::registers::{flags, sanitised};
use core::mem::offset_of;
use parzelle_abi::Error;
use parzelle_abi::x86_64::{self as abi, GuestCall, NO_ROOT, RESUME_FAST, RESUME_FULL};
use parzelle_core::machine::Machine;
use parzelle_tables::{Element, Error as Refused, Progress, Queue};

/// Call again.
const AGAIN: u64 = 1;
/// Nothing was done: call again, when other cores have flushed, or the queue is empty.
const LATER: u64 = 2;

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

/// Does a step of what the current vCPU has queued; whether nothing is left.
pub(crate) fn drain(machine: &mut Processor) -> bool {
    let page = &mut machine.vcpu_page();
    machine.space.guest.is_some_and(|guest| guest.tables.lock().drain(page) == Ok(Progress::Done))
}

impl Processor {
    fn guest_call(&mut self, guest: &'static Guest, number: u64, [a, b, c, ..]: [u64; 5]) -> Reply {
        // What is queued holds before anything else does. Both in one call would take too long, but for one entry.
        let mut page = self.vcpu_page();
        let queued = page.count();
        if queued != 0 {
            let little = queued == 1 && Element(page.element(0)).is_one();
            let drained = guest.tables.lock().drain(&mut page);
            match number {
                // An entry that is refused is absent; the caller of something else is not told.
                _ if number == GuestCall::Drain as u64 => {
                    let done = drained.map_err(|error| error as u64)? == Progress::Done;
                    return Ok(Some(if done { 0 } else { AGAIN }));
                }
                _ if little => {}
                RESUME_FAST | RESUME_FULL if drained == Ok(Progress::Done) => {}
                _ => return Ok(Some(LATER)),
            }
        }
        let refuse = |error: Refused| error as u64;
        let progress = match number {
            _ if number == GuestCall::Create as u64 => guest.tables.lock().create(a, b, c).map_err(refuse)?,
            _ if number == GuestCall::Fill as u64 => guest.tables.lock().fill(a, b).map_err(refuse)?,
            _ if number == GuestCall::Write as u64 => {
                guest.tables.lock().write(a, b, c).map_err(refuse)?;
                Progress::Done
            }
            _ if number == GuestCall::Destroy as u64 => guest.tables.lock().destroy(a).map_err(refuse)?,
            _ if number == GuestCall::Drain as u64 => Progress::Done,
            _ if number == GuestCall::SetRoots as u64 => {
                let frames = [a, b].map(|frame| (frame != NO_ROOT).then_some(frame));
                // They are loaded before the lock is given up, and the old ones with it.
                let mut tables = guest.tables.lock();
                self.sides().roots = tables.set_roots(self.index as usize, frames).map_err(refuse)?;
                self.load_root();
                Progress::Done
            }
            _ if number == GuestCall::Flush as u64 && b != 0 => return Ok(Some(self.flushed(guest, b))),
            _ if number == GuestCall::Flush as u64 => return Ok(Some(self.flush_tlbs(guest, guest.tlb.round()))),
            _ if number == GuestCall::SetDescriptor as u64 => {
                let segment = checked(b).ok_or(Error::InvalidArgument as u64)?;
                let known = self.set_segment(a, segment);
                return if known { Ok(Some(0)) } else { Err(Error::InvalidArgument as u64) };
            }
            #[cfg(feature = "audit")]
            super::audit::AUDIT => return Ok(Some(Processor::audit_guest(guest))),
            RESUME_FAST | RESUME_FULL => {
                self.resume_guest(number == RESUME_FAST);
                return Ok(None);
            }
            _ => return Err(Error::UnknownCall as u64),
        };
        Ok(Some(match progress {
            Progress::Done => 0,
            Progress::Again => AGAIN,
            Progress::Flush(generation) => match self.flush_tlbs(guest, generation) {
                0 => AGAIN,
                _ => LATER,
            },
        }))
    }

    /// Has all cores pass a generation; 0 if all have.
    fn flush_tlbs(&mut self, guest: &Guest, generation: u64) -> u64 {
        self.pass(guest);
        let behind = (0..self.module.apics.len()).filter(|&core| guest.tlb.is_behind(core));
        behind.for_each(|core| self.kick(core as u32));
        self.flushed(guest, generation)
    }

    /// Whether all cores have passed a generation: 0, or that again.
    fn flushed(&self, guest: &Guest, generation: u64) -> u64 {
        if guest.tlb.all_passed(generation) { 0 } else { generation }
    }

    /// Empties this core's TLB, if somebody waits for that.
    pub(crate) fn pass(&mut self, guest: &Guest) {
        if guest.tlb.is_behind(self.number as usize) {
            guest.tlb.pass(self.number as usize, || self.load_root());
        }
    }

    /// Goes on in the guest context, as the entry would have, had the queue been empty.
    fn resume_guest(&mut self, fast: bool) {
        let page = self.vcpu_page();
        let get = |field| page.guest(field);
        let [rip, rflags] = [offset_of!(abi::Guest, rip), offset_of!(abi::Guest, rflags)].map(get);
        let registers = self.registers();
        registers.rax = get(offset_of!(abi::Guest, rax));
        (registers.rip, registers.rsp, registers.vector) = (rip, get(offset_of!(abi::Guest, rsp)), MADE);
        registers.rflags = (rflags & flags::GUEST) | sanitised(0);
        let [_, _, _, r11, ..] = &mut registers.r;
        if fast {
            (registers.rcx, *r11) = (rip, registers.rflags);
            (registers.cs, registers.ss) = (u64::from(USER_CODE), u64::from(USER_DATA));
        } else {
            (registers.rcx, *r11) = (get(offset_of!(abi::Guest, rcx)), get(offset_of!(abi::Guest, r11)));
            registers.cs = get(offset_of!(abi::Guest, cs)) & 0xffff | 3;
            registers.ss = get(offset_of!(abi::Guest, ss)) & 0xffff | 3;
        }
        self.sides().set_guest();
        self.load_root();
    }
}

/// Takes everything from a guest whose partition restarts, one step at a time; `true`: there is more.
pub(crate) fn reset(machine: &mut Processor, guest: &Guest, root: u64) -> bool {
    // Any partition may be loaded, whose context only its own root shows; and the pool only that of the guest.
    let loaded = machine.loaded_root();
    // SAFETY: it maps the kernel as any root does.
    unsafe { cpu::write_cr3(root) };
    let more = guest.tables.lock().reset() != Progress::Done;
    // SAFETY: what was loaded.
    unsafe { cpu::write_cr3(loaded) };
    more
}
