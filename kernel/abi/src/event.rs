// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Events: one word of 64 bits per vCPU. An event says "look there"; what it is about lies in the
//! object. The plan assigns bits to ports, doorbells and interrupts; a partition with more of
//! them than bits has several on one bit.

/// The vCPU's timer ([`crate::Call::SetTimer`]) has expired.
pub const TIMER: u64 = 1 << 0;
/// A window of the partition has begun; its planned start is in the vCPU page.
pub const WINDOW: u64 = 1 << 1;
/// A peer (the other end of a port, doorbell or shared memory) was restarted or stopped.
pub const PEER: u64 = 1 << 2;
/// The first of the bits that vCPUs of one partition raise in each other ([`crate::Call::Kick`]).
pub const SOFTWARE_FIRST: u32 = 4;
/// Events that vCPUs of one partition may raise in each other.
pub const SOFTWARE: u64 = 0xf0;
/// The first bit that the plan assigns.
pub const ASSIGNED_FIRST: u32 = 8;
/// Bits that the plan assigns.
pub const ASSIGNED: u64 = !0xff;
/// All events.
pub const ALL: u64 = u64::MAX;

/// The bit of the `index`th object of a partition that raises events.
pub const fn assigned(index: u32) -> u32 {
    ASSIGNED_FIRST + index % (64 - ASSIGNED_FIRST)
}
