// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A host: nothing starts here and nobody calls up; the types are there so that the rest compiles.

pub use parzelle_abi::aarch64::Frame;

use crate::upcall::parzelle_rt_upcall;

/// See the other architectures.
pub const ENTRY_STACK_BIAS: u64 = 0;

/// No FP registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct FpState {}

impl FpState {
    /// The state in which a program starts.
    pub const fn new() -> Self {
        Self {}
    }
}

/// A frame at which `entry(argument)` begins on a stack of its own.
pub fn frame_for(entry: extern "C" fn(u64) -> !, stack_top: u64, argument: u64) -> Frame {
    let mut frame = Frame { sp: stack_top & !15, pc: entry as usize as u64, ..Frame::default() };
    frame.x[0] = argument;
    frame
}

/// Never entered.
///
/// # Safety
/// None needed.
pub(crate) unsafe extern "C" fn upcall_plain() -> ! {
    // SAFETY: without a head there is no handler, and nothing is done.
    unsafe { parzelle_rt_upcall(0, 0, core::ptr::null(), core::ptr::null_mut()) };
    crate::time::idle()
}

/// Never entered.
///
/// # Safety
/// None needed.
pub(crate) unsafe extern "C" fn upcall_fp() -> ! {
    // SAFETY: as above.
    unsafe { upcall_plain() }
}
