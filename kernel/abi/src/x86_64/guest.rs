// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a guest partition's program (the *shim*) and the kernel agree on.
//!
//! A guest's kernel runs in ring 3, in the host context, beside the shim; its user programs run in the
//! guest context. Both are *foreign* code: whatever they do that isn't theirs to do comes to the shim.
//!
//! ```text
//!   guest context             host context
//!  +---------------+   +--------------+   +-------------------------------+
//!  | user programs |   | guest kernel |   | shim: SHIM ≤ rip < SHIM_END   |
//!  +------+--------+   +------+-------+   |  VECTORS + 0x000 call    ◄────┼── guest context
//!         |  syscall,         |           |          + 0x080 trap    ◄────┤
//!         |  exception,       |           |          + 0x100 event   ◄────┘
//!         |  event            |           |          + 0x200 …       ◄──────── host context, foreign
//!         +-------+-----------+           |          + 0x380 repair  ◄──────── fault in 0x400–0x7ff
//!                 ▼                       +---+---------------------------+
//!              kernel ─── reflects ───────────┘
//! ```
//! On the way up, rip, rflags, rsp (and for traps and events rax, rcx, r11, cs, ss) go into [`Guest`] in the
//! vCPU page; all other registers keep the foreign values, rsp leads to that structure, rcx and r11
//! mean nothing, the flags are clean, and upcalls are masked for as long as rip is the shim's. An event of
//! interest that comes meanwhile sets [`Guest::pending`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where the host space of a guest partition begins: `info::layout` counts from here.
pub const SHIM: u64 = 0xffff_8100_0000_0000;
/// What lies between [`SHIM`] and here is the shim's and the kernel's; guests' own tables never map it.
pub const SHIM_END: u64 = 0xffff_8800_0000_0000;
/// The shim's program begins with its vectors.
pub const VECTORS: u64 = SHIM + crate::info::layout::PROGRAM;

/// The vectors, from [`VECTORS`] on.
pub mod vector {
    /// `syscall` in the guest context.
    pub const GUEST_CALL: u64 = 0x000;
    /// An exception there.
    pub const GUEST_TRAP: u64 = 0x080;
    /// An event of interest while it runs.
    pub const GUEST_EVENT: u64 = 0x100;
    /// What the same have more when foreign code in the host context was interrupted.
    pub const HOST: u64 = 0x200;
    /// A fault in [`GUARDED`] or [`EXITS`] goes on here: no register but rip changes. Its address is in
    /// `Guest::address`, its vector in `Guest::vector`, its error code in `Guest::error`.
    pub const REPAIR: u64 = 0x380;
    /// Here the shim touches memory that may not be there.
    pub const GUARDED: u64 = 0x400;
    /// Up to [`END`]: blocks of 64 bytes by which the shim leaves for foreign code. Each begins
    /// with a look at `Guest::pending`; who is interrupted by an event in one begins it again.
    pub const EXITS: u64 = 0x600;
    /// The end of the vectors.
    pub const END: u64 = 0x800;
}

/// A guest's context, in its vCPU page at [`crate::vcpu_page::GUEST`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Guest {
    /// Where foreign code was left, in the order in which `iretq` takes it; calls that go on in the
    /// guest context read it.
    pub rip: u64,
    /// Its code segment (not for calls).
    pub cs: u64,
    /// Its flags; see [`super::Frame::flags`], TF and ID besides.
    pub rflags: u64,
    /// Its stack pointer.
    pub rsp: u64,
    /// Its stack segment (not for calls).
    pub ss: u64,
    /// rax (not for calls, where it is untouched).
    pub rax: u64,
    /// rcx (not for calls).
    pub rcx: u64,
    /// r11 (not for calls).
    pub r11: u64,
    /// The exception's vector.
    pub vector: u64,
    /// Its error code.
    pub error: u64,
    /// CR2 for a page fault, DR6 for a debug exception.
    pub address: u64,
    /// Not 0: an event of interest came while rip was the shim's. The shim clears it, then polls.
    pub pending: u64,
    /// The shim's own words; the kernel never touches them.
    pub own: [u64; 16],
    /// Entries of the guest's page tables that have changed: how many elements there are …
    pub queued: u64,
    /// … and the elements: the (pseudo-)physical address of the first entry | (entries − 1) << 52. The kernel takes them at [`GuestCall::Drain`]
    /// and before any other call on tables, and before the guest context runs.
    pub queue: [u64; 64],
}

/// No root, for [`GuestCall::SetRoots`].
pub const NO_ROOT: u64 = u64::MAX;
/// rax for "go on in the guest context by `sysret`": rip, rflags, rsp, rax from [`Guest`]; rcx = rip and
/// r11 = rflags for the guest, too. Not answered; with a call number in all other respects.
pub const RESUME_FAST: u64 = u64::MAX;
/// rax for "go on in the guest context by `iretq`": all of [`Guest`] up to r11.
pub const RESUME_FULL: u64 = u64::MAX - 1;

/// The most LDT entries that a guest can use.
pub const LDT_ENTRIES: u64 = 512;

/// The value of a call on tables: a step is done, call again. (0: all is done.)
pub const AGAIN: u64 = 1;
/// The value of such a call: nothing was done. Call again after a while: other cores have to flush first, are at work on
/// the tables, or there is more in the queue than is taken in a step.
pub const LATER: u64 = 2;

crate::call::numbered! {
    /// Calls of guest partitions on x86-64, beside [`crate::Call`]. Registers as there. Frames are the guest's. Statuses
    /// beyond those of [`crate::Error`] (32 and more) are `parzelle_tables::Error`'s.
    /// The value of those on tables: 0, [`AGAIN`] or [`LATER`].
    GuestCall:
    /// `(frame, level 1–4, lines)`: creates the kernel's table for a table of the guest's.
    64 Create "create-table",
    /// `(frame, lines)`: reads lines again; 0: goes on with what is left.
    65 Fill "fill-table",
    /// `(frame, index, entry)`: installs an entry, whatever the guest's table says.
    66 Write "write-table",
    /// `(frame)`.
    67 Destroy "destroy-table",
    /// `()`: takes what is queued.
    68 Drain "drain-tables",
    /// `(kernel frame, user frame)`: [`NO_ROOT`] for none.
    69 SetRoots "set-roots",
    /// `(vCPU mask, generation)`: generation 0 begins a flush of the TLBs of these vCPUs and the value is its
    /// generation, or 0 if it is done; else asks whether that generation is done: 0 yes.
    70 Flush "flush",
    /// `(index, descriptor)`: 4 and 12–15: a segment of the caller's GDT; 2¹⁶ + n: entry n < 512 of its LDT.
    71 SetDescriptor "set-descriptor",
}
