// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Page tables for x86-64 guests whose kernel runs in user mode: the service.
//!
//! The hardware never walks what a guest writes. For each table of the guest, named by the guest
//! frame that it lies in, the kernel keeps a table of its own, of the same level, in a pool that
//! the plan gives to the partition. An entry of the guest's becomes one of the kernel's when it has
//! passed the checks here: **a leaf, if its frame is the partition's own; a reference, if the kernel
//! has a table of the level below for that frame.** That is all of the trusted memory
//! virtualisation. Xen, Linux, direct writes, accessed and dirty bits are the shim's.
//!
//! ```text
//!    the guest's memory (never walked)             the pool (never mapped)
//!    frame 7: an L2      frame 9: an L1            table 4           table 5
//!   +-----------------+ +------------------+      +---------------+ +----------------------+
//!   | [0] frame 9  ---->| [3] frame 33     |      | [0] table 5 --->| [3] physical frame   |
//!   | [1] nothing     | | [4] not yours    |      | [1] nothing   | | [4] nothing          |
//!   +-----------------+ +------------------+      +---------------+ +----------------------+
//!        names[7] = 4        names[9] = 5          level 2, lines,   level 1, references: 1
//! ```
//!
//! # A table's life
//! ```text
//!            create        all lines read          destroy, refs == 0      all lines clear
//!    Free ──────────► Filling ──────────► Ready ──────────────────► Dying ──────────► Free
//!     ▲ all zero       can't be linked     fill reads it again        no name for others │
//!     └──────────── reused when every core has passed the generation it was freed in ◄───┘
//! ```
//! There are no pins: a table exists from `create` to `destroy`, linked or not. The guest's pins are
//! the shim's reason to make those calls.
//!
//! # Invariants
//! Checked by `audit` over the whole pool, in tests after random operations:
//!
//! 1. A leaf leads to the partition's memory, with no more rights than the region has.
//! 2. An entry above level 1 is zero or leads to a table of the pool, one level below, that was
//!    ready when it was linked and isn't free. So neither loops nor self-maps can be made.
//! 3. `refs` of a table = entries that lead to it + vCPUs whose root it is. Only 0 can be destroyed.
//! 4. Slots 256–271 of a root hold exactly what the plan has for its kind ([`Kind`]), or nothing as
//!    long as it has no kind; a kind is for life. No entry of the guest's is ever put there.
//! 5. What isn't zero lies in a line (8 entries) whose bit is set in `lines`; a free table is all zero.
//! 6. Names and tables in use are inverse to each other; each other table is in the free list once,
//!    the one freed first in front.
//! 7. Every present entry is accessed, and dirty if it is a leaf that may be written: the hardware
//!    never writes to a table. The guest's accessed and dirty bits are exact all the same, since a leaf
//!    is installed only if the guest's entry is accessed, writable only if it is dirty; what is
//!    missing faults, and the shim sets the bit *in the guest's table*. So nothing is to be asked here.
//!
//! # Bounds
//! | operation | does at most | instructions, measured (x86-64, optimised) |
//! |---|---|---|
//! | [`write`](Tables::write) | 1 entry | a leaf 90, a reference 150 |
//! | [`create`](Tables::create) | as fill, and a look at each core's generation | 130 and as fill |
//! | [`fill`](Tables::fill) | a [`STEP`], or one line of the worst kind | three lines of leaves 730; a line of refused ones 700, of references 800 |
//! | [`drain`](Tables::drain) | the same, of at most [`QUEUE`] elements; where there are references, half a line | one leaf 75, one reference 230, else up to 850 |
//! | [`destroy`](Tables::destroy) | [`CLEAR`] references, four times as many leaves | leaves 640, references 580 |
//! | [`set_roots`](Tables::set_roots) | 32 slots of the kernel's, the first time a root is used; then 4 counts | 265; then 205 |
//! | [`reset`](Tables::reset) | half of that, of one table | leaves 320, references 290 |
//!
//! An entry costs a look through at most [`REGIONS`] regions. Longer work answers
//! [`Progress::Again`]; what is left stands in the table's descriptor (the lines yet to be read or
//! cleared) or in the queue, so it may be abandoned at any point and continued by any vCPU.
//!
//! # Order
//! A queue's element says "entry *n* of frame *f* has changed", not what it became. The kernel reads
//! the guest's entry when it gets there, so elements may be taken in any order and any number of
//! times, and two vCPUs that change one entry converge on what is last in memory. For the same reason more may be read than
//! was named: the whole line. (Reading the guest's entry and writing the kernel's is one step under the lock, so who
//! changes the entry after that, and then drains, has the last word.) What a vCPU has
//! queued holds for others when its queue is empty: the kernel drains it **before** any call of this service (flush, create,
//! destroy, roots …) and before its guest context runs. Before it tells another vCPU of anything, kicks it, say, the
//! shim has it drained.
//! An element for a frame that has no table (any more) means nothing, and is dropped.
//!
//! *Open tables*: to let the guest write a table's frame without traps, the shim installs a writable
//! leaf by `write` and queues nothing until it closes it. On one core: queue the leaf's entry and the
//! whole table (512 entries in one element), and flush before the guest runs. On several: queue the leaf,
//! flush all cores (this drains first), then queue the table; else a core whose TLB still has
//! the leaf writes after the kernel has read.
//!
//! # TLBs
//! A stale *leaf* leads to the partition's own memory, so flushing leaves is the guest's affair (by
//! [`Tlb::round`]). A stale *reference* would lead to a table that has become something else:
//! a freed table waits until every core has passed a later generation ([`Tlb`]). Nothing is flushed
//! until a freed table is needed again.
//!
//! # Kernel calls
//! `parzelle_abi::x86_64::GuestCall`. Each takes a step of the queue, if that isn't empty, or does a step of its own, and
//! says whether it has to be called again.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "audit"))]
mod audit;
mod descriptor;
mod destroy;
mod entry;
mod fill;
mod put;
mod queue;
mod roots;
mod setup;
mod tables;
mod tlb;
mod words;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "audit"))]
pub use audit::Finding;
pub use descriptor::{Descriptor, Kind};
pub use destroy::CLEAR;
pub use entry::{REGIONS, Region};
pub use fill::STEP;
pub use queue::{Element, QUEUE, Queue};
pub use setup::Setup;
pub use tables::{KERNEL_SLOTS, Memory, Tables};
pub use tlb::Tlb;
pub use words::{Error, Progress};
