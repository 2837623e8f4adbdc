// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Areas in the memory that the runtime gives: volatile accesses and fences.
//!
//! Why this is right. The peer is another program in another address space: to the compiler it is
//! what a device is, and a volatile access is one that it neither drops, repeats, splits nor
//! invents. An aligned one of 64 bits is one load or store instruction on both architectures, whole
//! in the sense of the Arm ARM (B2.2.1, single-copy atomicity) and the Intel SDM (vol. 3, 9.1.1).
//! A fence orders it: for the compiler, all accesses to memory stay on their side of the fence; for
//! the processor, it is the instruction that the ordering needs (`dmb ishld`, `dmb ish`; on x86-64
//! `mfence` for the full one only, as loads and stores keep their order among themselves). Both
//! partitions map the area as normal, cacheable, inner shareable memory, so `ish` reaches the peer.
//! An acquiring load is the load with the fence behind it, a releasing store the store with the
//! fence before it.

use core::sync::atomic::{Ordering, fence};

use parzelle_rt::Volatile;

use crate::memory::Memory;

impl Memory for Volatile {
    #[inline]
    fn bytes(&self) -> u64 {
        self.len()
    }

    #[inline]
    fn load(&self, offset: u64) -> u64 {
        self.load_u64(offset).unwrap_or(0)
    }

    #[inline]
    fn load_acquire(&self, offset: u64) -> u64 {
        let value = self.load(offset);
        fence(Ordering::Acquire);
        value
    }

    #[inline]
    fn store(&self, offset: u64, value: u64) {
        self.store_u64(offset, value);
    }

    #[inline]
    fn store_release(&self, offset: u64, value: u64) {
        fence(Ordering::Release);
        self.store(offset, value);
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        Volatile::read(self, offset, into)
    }

    #[inline]
    fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        Volatile::write(self, offset, from)
    }
}
