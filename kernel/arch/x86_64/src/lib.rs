// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The x86-64 side of the kernel: ring 0, in the hole that Xen's interface keeps free; partitions
//! in ring 3.
//!
//! ```text
//!   boot ─► space (roots) ─► cores ─┐
//!                                   ▼
//!   trap.S: entry ─► trap ─► parzelle_core::CoreState ─► machine ─► context, page, ports,
//!           exit ◄──────────────────┘                               irqchip, timer, power
//! ```
//! Everything but assembly compiles and is tested on the host.
#![cfg_attr(not(test), no_std)]

pub mod arena;
mod boot;
mod console;
pub mod context;
mod cores;
pub mod descriptors;
mod fatal;
pub mod fault;
mod guest;
mod instructions;
mod iommu;
mod irqchip;
pub mod layout;
mod machine;
#[cfg(feature = "measure")]
mod measure;
mod mmio;
mod page;
mod percore;
mod ports;
mod power;
pub mod registers;
pub mod space;
mod timer;
mod trap;

pub use boot::{Board, Refusal, boot};
pub use console::Printer;
pub use fatal::panic;
pub use instructions::{in8, out8};
