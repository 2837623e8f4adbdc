// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The board's real-time clock, as a device that interrupts at the very instruction at which one
//! asks for it.

#[cfg(target_arch = "x86_64")]
#[path = "rtc/cmos.rs"]
mod kind;
#[cfg(target_arch = "aarch64")]
#[path = "rtc/pl031.rs"]
mod kind;

pub use kind::Rtc;
