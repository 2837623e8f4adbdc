// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel's calls for guests, and the queue of changed table entries in the vCPU page.

use core::ptr::NonNull;

use parzelle_abi::x86_64::{Guest, GuestCall, LATER, NO_ROOT};
use parzelle_rt::time;
use parzelle_xen::mmu::{Answer, Error, Progress, QUEUE, Service};

/// For how long to wait for other processors, in nanoseconds.
const MOMENT: u64 = 20 * time::MICROSECOND;

/// The calls of one vCPU.
#[derive(Debug)]
pub struct Calls {
    guest: NonNull<Guest>,
    /// Its own bit in masks of vCPUs.
    here: u64,
    /// The machine-to-physical table: address, entries.
    machine_to_physical: (u64, u64),
}

// SAFETY: the page is mapped for all of the partition; one vCPU at a time has this.
unsafe impl Send for Calls {}

/// Makes a call on tables.
fn call(call: GuestCall, [a, b, c]: [u64; 3]) -> Result<u64, Error> {
    // SAFETY: these calls change what the guest's tables lead to, which is the guest's own memory
    // only; no memory of the shim, and not its flow of control.
    let (status, value) = unsafe { parzelle_sys::call(call as u64, [a, b, c, 0, 0]) };
    if status == 0 { Ok(value) } else { Err(Error::from_number(status)) }
}

/// Sets a segment of this vCPU's GDT, or from 2^16 on of its LDT. False: not with this descriptor.
pub fn set_descriptor(index: u64, descriptor: u64) -> bool {
    call(GuestCall::SetDescriptor, [index, descriptor, 0]).is_ok()
}

impl Calls {
    /// Those of the vCPU with this part of a page.
    #[must_use]
    pub const fn new(guest: NonNull<Guest>, index: u32, machine_to_physical: (u64, u64)) -> Self {
        Self { guest, here: 1 << (index & 63), machine_to_physical }
    }

    /// What the kernel said of the last fault: vector, error code, address.
    #[must_use]
    pub fn fault(&self) -> (u64, u64, u64) {
        let guest = self.guest.as_ptr();
        // SAFETY: the part of the vCPU page is mapped for good; only the kernel writes it, when it
        // stops this vCPU.
        let guest = unsafe { &*guest };
        (guest.vector, guest.error, guest.address)
    }

    /// Makes a call on tables when nothing is queued any more, or a single entry: the kernel takes a step of that
    /// first otherwise, and nothing else.
    #[inline]
    fn call(&mut self, which: GuestCall, arguments: [u64; 3]) -> Result<u64, Error> {
        if !(self.queued() == 0 || self.queued() == 1 && self.element(0) >> 52 == 0) {
            self.drain_before();
        }
        loop {
            match call(which, arguments) {
                // Another vCPU is at work on the tables, or has to flush first.
                Ok(LATER) => core::hint::spin_loop(),
                answer => return answer,
            }
        }
    }

    #[inline(never)]
    fn drain_before(&mut self) {
        while self.queued() != 0 {
            // What is refused is absent; the guest finds out when it touches it.
            if call(GuestCall::Drain, [0; 3]) == Err(Error::Other) {
                break;
            }
        }
    }

    fn slot(&self, slot: u64) -> *mut u64 {
        let queue = self.guest.as_ptr().cast::<u8>().wrapping_add(core::mem::offset_of!(Guest, queue));
        queue.cast::<u64>().wrapping_add((slot % QUEUE) as usize)
    }

    fn count(&self) -> *mut u64 {
        self.guest.as_ptr().cast::<u8>().wrapping_add(core::mem::offset_of!(Guest, queued)).cast()
    }
}

impl Service for Calls {
    fn create(&mut self, frame: u64, level: u8, lines: u64) -> Answer {
        self.call(GuestCall::Create, [frame, level.into(), lines]).map(Progress::from_number)
    }

    fn fill(&mut self, frame: u64, lines: u64) -> Answer {
        self.call(GuestCall::Fill, [frame, lines, 0]).map(Progress::from_number)
    }

    fn write(&mut self, frame: u64, index: u64, entry: u64) -> Result<(), Error> {
        self.call(GuestCall::Write, [frame, index, entry]).map(|_| ())
    }

    fn destroy(&mut self, frame: u64) -> Answer {
        self.call(GuestCall::Destroy, [frame, 0, 0]).map(Progress::from_number)
    }

    fn drain(&mut self) -> Answer {
        call(GuestCall::Drain, [0; 3]).map(Progress::from_number)
    }

    fn set_roots(&mut self, kernel: Option<u64>, user: Option<u64>) -> Result<(), Error> {
        let [kernel, user] = [kernel, user].map(|root| root.unwrap_or(NO_ROOT));
        self.call(GuestCall::SetRoots, [kernel, user, 0]).map(|_| ())
    }

    fn flush(&mut self, vcpus: u64, generation: u64) -> u64 {
        // A call that is refused has nothing to wait for.
        self.call(GuestCall::Flush, [vcpus, generation, 0]).unwrap_or(0)
    }

    fn here(&self) -> u64 {
        self.here
    }

    fn relax(&mut self) {
        time::sleep(MOMENT);
    }

    fn queued(&self) -> u64 {
        // SAFETY: in the vCPU page; the kernel writes it in calls only.
        unsafe { self.count().read_volatile() }
    }

    fn set_queued(&mut self, count: u64) {
        // SAFETY: as above.
        unsafe { self.count().write_volatile(count) }
    }

    fn element(&self, slot: u64) -> u64 {
        // SAFETY: as above.
        unsafe { self.slot(slot).read_volatile() }
    }

    fn set_element(&mut self, slot: u64, element: u64) {
        // SAFETY: as above.
        unsafe { self.slot(slot).write_volatile(element) }
    }

    fn set_machine_to_physical(&mut self, machine: u64, physical: u64) -> bool {
        let (address, entries) = self.machine_to_physical;
        let is_there = machine < entries;
        if is_there {
            // SAFETY: an entry of the table, which nobody has a reference to.
            unsafe { ((address + machine * 8) as *mut u64).write_volatile(physical) };
        }
        is_there
    }
}
