// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's part of the vCPU page: its context, and behind that the queue of entries of its tables.

use crate::page::VcpuPage;
use core::mem::offset_of;
use parzelle_abi::vcpu_page::GUEST;
use parzelle_abi::x86_64::Guest;
use parzelle_tables::{QUEUE, Queue};

impl VcpuPage {
    /// Reads the word at offset `field` of a guest's context.
    pub(super) fn guest(self, field: usize) -> u64 {
        self.read(GUEST + field as u64)
    }

    /// Writes it.
    pub(super) fn set_guest(self, field: usize, value: u64) {
        self.write(GUEST + field as u64, value);
    }
}

// The queue lies behind all else that the page has of a guest.
const _: () = assert!(size_of::<Guest>() - offset_of!(Guest, queue) == QUEUE * 8);

impl Queue for VcpuPage {
    fn count(&self) -> u64 {
        self.guest(offset_of!(Guest, queued))
    }

    fn set_count(&mut self, count: u64) {
        self.set_guest(offset_of!(Guest, queued), count);
    }

    fn element(&self, slot: usize) -> u64 {
        self.guest(offset_of!(Guest, queue) + 8 * slot)
    }

    fn set_element(&mut self, slot: usize, element: u64) {
        self.set_guest(offset_of!(Guest, queue) + 8 * slot, element);
    }
}
