// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The runtime of a native partition: everything between the kernel calls and a program without
//! `unsafe`.
//!
//! ```text
//!   loader ──► _start ──► parzelle_rt_start ──► main (entry!)
//!                                                │
//!         Partition::get()  names → ports, memory, bells, devices, rights
//!         time              now, wait, timers          upcall   events and faults as interrupts
//!         health            modes, errors, accounts    trace    what the kernel did
//!         log, println!     into the log ring          panic    → health monitor
//! ```
//! A program is a crate of its own with `#![no_std] #![no_main]`, see `partitions/examples/hello`.
#![no_std]

pub mod arch;
pub mod call;
pub mod config;
pub mod device;
pub mod error;
pub mod health;
#[cfg(feature = "heap")]
mod heap;
pub mod link;
pub mod logger;
pub mod mem;
pub mod once;
pub mod partition;
pub mod port;
pub mod ring;
pub mod start;
pub mod time;
pub mod trace;
pub mod upcall;
pub mod vcpu;

pub use parzelle_abi as abi;

pub use device::{Doorbell, Interrupt, Registers, Shared};
pub use error::Error;
pub use health::ready;
pub use link::Link;
pub use mem::Volatile;
pub use once::Once;
pub use partition::Partition;
pub use port::{QueuingDestination, QueuingSource, Sample, SamplingDestination, SamplingSource};
pub use time::{Periodic, idle, now, wait};
pub use vcpu::VcpuPage;

/// The linker script of native programs, for tools that build them.
pub const LINKER_SCRIPT: &str = include_str!("../partition.ld");

/// Declares a static that a warm start keeps: it lies in the segment `.retained`, is zero after a
/// cold start and is whatever it was after a warm one. For atomics and other types whose `new`
/// takes a zero.
#[macro_export]
macro_rules! retained {
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty;) => {
        $(#[$attribute])*
        #[unsafe(link_section = ".retained")]
        $visibility static $name: $type = <$type>::new(0);
    };
}
