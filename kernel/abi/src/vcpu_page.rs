// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The vCPU page: one page per vCPU, mapped writable to the partition.
//!
//! ```text
//!   0x000  VcpuHead            both architectures
//!   0x100  Frame               the frame that an upcall interrupted, `resume` restores it
//!   0x400  aarch64::Guest      the guest context (guest partitions)
//! ```
//! The kernel reads each word once, sanitises it and never bases a decision about others on it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where the head lies in the page.
pub const HEAD: u64 = 0;
/// Where the frame of an upcall lies in the page.
pub const FRAME: u64 = 0x100;
/// Where the guest context lies in the page.
pub const GUEST: u64 = 0x400;

/// The head of the page.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VcpuHead {
    /// Not 0: upcalls are masked. The kernel sets it on entry to the handler, `resume` clears it.
    pub masked: u64,
    /// Why the handler was entered: an [`UpcallReason`].
    pub reason: u64,
    /// The events taken with this upcall.
    pub events: u64,
    /// For a fault: the [`crate::health::ErrorId`].
    pub error: u64,
    /// For a fault: the processor's syndrome (ESR_EL2; vector | error code << 32).
    pub syndrome: u64,
    /// For a fault: the address (FAR_EL2; CR2).
    pub address: u64,
    /// Planned start of the partition's latest window, in nanoseconds.
    pub window_start: u64,
    /// The partition's generation: 0 for the first start, + 1 at each restart.
    pub generation: u64,
    /// The [`crate::health::Condition`] of this start.
    pub condition: u64,
    /// The [`crate::health::Mode`] it started in.
    pub mode: u64,
    /// The index of this vCPU in its partition.
    pub vcpu: u64,
    /// Ticks of the user-readable counter per second (CNTVCT_EL0; TSC).
    pub counter_frequency: u64,
    /// Counter ticks → nanoseconds since boot: `((ticks - counter_zero) * counter_scale) >> 32`.
    pub counter_zero: u64,
    /// See `counter_zero`.
    pub counter_scale: u64,
}

crate::call::numbered! {
    /// Why an upcall handler was entered.
    UpcallReason:
    /// Events are pending (`events`).
    0 Events "events",
    /// The partition's own program did something wrong (`error`, `syndrome`, `address`).
    1 Fault "fault",
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::size_of;

    #[test]
    fn the_parts_do_not_meet() {
        assert!(HEAD as usize + size_of::<VcpuHead>() <= FRAME as usize);
        assert!(FRAME as usize + size_of::<crate::aarch64::Frame>() <= GUEST as usize);
        assert!(FRAME as usize + size_of::<crate::x86_64::Frame>() <= GUEST as usize);
        assert!(GUEST as usize + size_of::<crate::aarch64::Guest>() <= crate::PAGE as usize);
    }
}
