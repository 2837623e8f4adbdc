// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What kernel and partitions agree on: calls, errors, events, health codes, the vCPU page and
//! the partition information pages.
//!
//! ```text
//!   partition                               kernel
//!   ─────────                               ──────
//!   call number, arguments in registers ──► Call::from_number, validated
//!   status, value in registers          ◄── Error or success
//!   vCPU page (read and written by both; the kernel never trusts what it reads back)
//!   information pages (read only; written by the tool that built the image)
//! ```
//!
//! A call goes by `svc #0` on aarch64 (number in x8, arguments in x0–x4, status in x0, value in
//! x1) and by `syscall` on x86-64 (number in rax, arguments in rdi, rsi, rdx, r10, r8, status in
//! rax, value in rdx; rcx and r11 are lost). Times are nanoseconds since boot.
#![no_std]
#![forbid(unsafe_code)]

pub mod aarch64;
pub mod call;
pub mod event;
pub mod health;
pub mod info;
pub mod names;
pub mod stats;
pub mod trace;
pub mod vcpu_page;
pub mod x86_64;

pub use call::{Call, Error};

/// Revision of this interface. A program built against another one is refused (PZ0205).
pub const REVISION: u32 = 3;

/// Bytes of a page, the unit of every mapping.
pub const PAGE: u64 = 4096;

/// The largest message of a port, in bytes: what can be copied within the bound on a masked path.
pub const MESSAGE_MAX: u32 = 2048;

/// L, the bound on instructions with interrupts masked.
pub const MASKED_PATH_MAX: u32 = 1000;

/// "Never", as a deadline.
pub const NEVER: u64 = u64::MAX;
