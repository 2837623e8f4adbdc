// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The shim of x86-64 guests: an unprivileged program that is their hypervisor, as Xen would be one.
//!
//! ```text
//!   image ──► loading ──► guest memory                                             (once)
//!
//!   guest ──► vectors.S ──► run ──┬─► hypercall ──► processor state, mmu, domain   (per vCPU)
//!     ▲                           ├─► trap ──► emulate, mmu, deliver
//!     │                           └─► events
//!     └───── vectors.S ◄── leave ◄── upcalls that wait
//! ```
//! What the answers are `parzelle-xen` decides; here is what needs a processor and the kernel:
//! registers, memory, calls. The guest's kernel runs beside the shim, in the same ring: it can harm
//! the shim as it can harm itself. Nobody else trusts either.
#![no_std]

#[cfg(target_os = "none")]
mod vectors;

pub mod begin;
pub mod calls;
pub mod deliver;
pub mod descriptor;
pub mod emulate;
pub mod failure;
pub mod files;
pub mod guarded;
pub mod host;
pub mod hypercall;
pub mod instructions;
pub mod loading;
pub mod machine;
pub mod memory;
pub mod msr;
pub mod own;
pub mod ram;
pub mod returns;
pub mod run;
mod short;
mod shortfault;
pub mod space;
pub mod trap;
pub mod vcpu;
