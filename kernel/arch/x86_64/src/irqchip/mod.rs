// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Interrupts: the local APIC of each core, the IO-APIC that all share, messages of devices.
//!
//! ```text
//!   vector   0x00–0x1f exceptions │ 0x20–0x2f stray interrupts of the old PIC, ignored
//!            0x30–… line n │ 0xe0 another core's kick │ 0xf0 timer │ 0xff spurious
//! ```
//! The local APIC's priority is the vector's upper half (Intel SDM, Vol. 3A, §11.8.3): when
//! several are pending, the timer goes first.

mod io;
mod local;

pub(crate) use io::IoApic;
pub(crate) use local::{INIT, Local, STARTUP};

/// The vector of line 0.
pub(crate) const LINES: u64 = 0x30;
/// Lines that have a vector.
pub(crate) const LINES_MAX: u32 = (KICK - LINES) as u32;
/// A kick from another core.
pub(crate) const KICK: u64 = 0xe0;
/// The timer.
pub(crate) const TIMER: u64 = 0xf0;
/// An interrupt that went away before it was taken: it is not ended.
pub(crate) const SPURIOUS: u64 = 0xff;
