// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The hypervisor's side of Xen's guest interface, for stock Linux kernels in a partition.
//!
//! A distribution's kernel brings the guest side along. This crate decides what the answers are;
//! the shim, a program in the guest's own partition, carries them out: it owns the traps, the page
//! tables and the kernel calls.
//!
//! ```text
//!   before the start      notes ─▶ start ─▶ memory, first registers
//!
//!   guest kernel ── syscall, hypercall page ──▶ decode ─▶ Request ─▶ events, time, …
//!                ── #GP, #PF on a table ──────▶ instruction ─▶ cpuid, stores to tables
//!                ◀── upcall, trap frame ─────── events: who is to be told
//! ```
//!
//! All of it is plain logic on the host as well: no heap, no `unsafe`, no kernel call, nothing of
//! one processor. Memory of the guest is behind two traits in [`memory`]: by address, copied in
//! before it is looked at, and by frame, word by word, for what both sides use at the same time.
//! The guest is not trusted: whatever it hands over ends in an answer or a refusal, never in a
//! panic or an endless loop. And the kernel trusts nothing of this: a mistake here harms this
//! guest's partition and nobody else.

#![cfg_attr(not(any(test, feature = "fake")), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
pub mod answer;
pub mod cpuid;
pub mod decode;
pub mod devices;
pub mod domain;
pub mod events;
pub mod grants;
pub mod instruction;
pub mod memory;
pub mod mmu;
pub mod notes;
pub mod site;
pub mod start;
pub mod store;
pub mod time;
pub mod traps;
pub mod tune;
