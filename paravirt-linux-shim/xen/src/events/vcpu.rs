// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a vCPU has of event channels: where its words are, its virtual interrupts, what it polls.

use core::sync::atomic::{AtomicU32, Ordering};

use spin::Once;

use crate::abi::event::fifo::QUEUES;
use crate::abi::event::virq;
use crate::abi::shared::at;
use crate::memory::Page;

/// A set of vCPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VcpuSet(u64);

impl VcpuSet {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// How many vCPUs a guest can have.
    pub const MAX: usize = 64;

    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits: bit n is vCPU n.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// This set and another.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set and a vCPU.
    #[must_use]
    pub const fn with_vcpu(self, vcpu: u32) -> Self {
        Self(self.0 | 1u64.wrapping_shl(vcpu))
    }

    /// Whether it is in the set.
    #[must_use]
    pub const fn contains(self, vcpu: u32) -> bool {
        self.0 & 1u64.wrapping_shl(vcpu) != 0
    }

    /// Its members, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        let mut bits = self.0;
        core::iter::from_fn(move || {
            let first = bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
            (first < u64::BITS).then_some(first)
        })
    }
}

/// "It waits for several ports."
const SEVERAL: u32 = u32::MAX;

/// A vCPU's part.
#[derive(Debug)]
pub struct VcpuEvents<P> {
    /// Where its `vcpu_info` is, once it has said so.
    pub(super) info: Once<(P, usize)>,
    /// Where its queues are (FIFO).
    pub(super) control: Once<(P, usize)>,
    /// Last port of each queue, 0: none (under the lock of FIFO).
    pub(super) tails: [AtomicU32; QUEUES],
    /// Port of each virtual interrupt.
    pub(super) virqs: [AtomicU32; virq::COUNT],
    polled: AtomicU32,
}

impl<P> Default for VcpuEvents<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> VcpuEvents<P> {
    /// Begins with nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            info: Once::new(),
            control: Once::new(),
            tails: [const { AtomicU32::new(0) }; QUEUES],
            virqs: [const { AtomicU32::new(0) }; virq::COUNT],
            polled: AtomicU32::new(0),
        }
    }

    /// The port of a virtual interrupt.
    pub(super) fn virq(&self, virq: u32) -> Option<u32> {
        let port = self.virqs.get(virq as usize)?.load(Ordering::Acquire);
        (port != 0).then_some(port)
    }

    pub(super) fn poll(&self, ports: &[u32]) {
        let polled = match ports {
            [] => 0,
            [port] => *port,
            _ => SEVERAL,
        };
        self.polled.store(polled, Ordering::SeqCst);
    }

    /// Whether a poll may be waiting for this port: if for several, it looks again itself.
    pub(super) fn polls(&self, port: u32) -> bool {
        let polled = self.polled.load(Ordering::SeqCst);
        polled == port || polled == SEVERAL
    }
}

impl<P: Page> VcpuEvents<P> {
    /// Where its `vcpu_info` is: where it said, or its place in the shared page.
    pub(super) fn info(&self, index: u32, shared_info: &P) -> Option<Info<P>> {
        if let Some((page, at)) = self.info.get() {
            return Some(Info { page: page.clone(), at: *at });
        }
        let index = index as usize;
        let layout = P::LAYOUT;
        (index < layout.legacy_vcpus).then(|| Info { page: shared_info.clone(), at: index * layout.vcpu_info })
    }
}

/// A `vcpu_info` in use.
pub(super) struct Info<P> {
    pub(super) page: P,
    pub(super) at: usize,
}

impl<P: Page> Info<P> {
    pub(super) fn is_deliverable(&self) -> bool {
        self.page.load8(self.at + at::UPCALL_PENDING) != 0 && self.page.load8(self.at + at::UPCALL_MASK) == 0
    }

    /// Whether it was not pending before.
    pub(super) fn set_upcall_pending(&self) -> bool {
        let at = self.at + at::UPCALL_PENDING;
        let was = self.page.load8(at);
        if was == 0 {
            self.page.store8(at, 1);
        }
        was == 0
    }
}
