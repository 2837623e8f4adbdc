// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The shim: an unprivileged program that runs an operating system in the guest contexts of its own
//! vCPUs.
//!
//! ```text
//!   image ──► loading ──► guest memory          (once)
//!
//!                       board (behind a lock)       run (per vCPU)
//!   console ring ◄── output ◄──┬──────────────┐ ◄──► Vcpu 0 ── run-guest ──┐
//!   input ring   ──► input  ──►│ virtual board│ ◄──► Vcpu 1 ── run-guest ──┼─► guest
//!                              └──────────────┘ ◄──►  …                    ┘
//! ```
//! What the board decides lies in `parzelle-shim-board`, the console's ends in `parzelle-shim-backends`; here is what needs the kernel: memory,
//! calls, rings. Neither trusts the guest, and nobody trusts the shim: it can harm its own partition
//! only.
#![no_std]

pub mod board;
pub mod cache;
pub mod clock;
pub mod failure;
pub mod files;
pub mod frame;
pub mod loading;
pub mod run;
pub mod space;
pub mod vcpu;
pub mod xen;

pub use failure::Failure;
