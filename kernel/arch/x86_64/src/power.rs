// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ending the module, and writing registers of devices.

use crate::instructions::{out8, out16, out32, stop};
use crate::layout::common;
use parzelle_core::machine::Halt;
use parzelle_plan::AccessRecord;

/// QEMU's `isa-debug-exit`: exit status = value × 2 + 1.
const DEBUG_EXIT: u16 = 0xf4;
/// The value that says "all went well": exit status 33.
const WELL: u32 = 0x10;
/// The value that says "something failed": exit status 35.
const FAILED: u32 = 0x11;
/// PM1a control of the ICH9 as the q35 board maps it; the board's firmware chose the address.
const PM1A_CONTROL: u16 = 0x604;
/// SLP_EN with sleep type 0, which is S5 on this chip set (ACPI specification, §4.8.3.2.1).
const SOFT_OFF: u16 = 0x2000;
/// Reset control of the chip set (ICH9 datasheet, §13.7.5).
const RESET_CONTROL: u16 = 0xcf9;
/// System reset.
const SYSTEM_RESET: u8 = 0x02;
/// Reset the processor now.
const FULL_RESET: u8 = 0x06;

/// Ends the module.
pub(crate) fn halt(how: Halt) -> ! {
    match how {
        Halt::Stop => off(WELL),
        Halt::Fail => off(FAILED),
        Halt::Reset => {
            // SAFETY: the module ends here, on purpose.
            unsafe { out8(RESET_CONTROL, SYSTEM_RESET) };
            // SAFETY: as above.
            unsafe { out8(RESET_CONTROL, FULL_RESET) };
        }
    }
    stop()
}

fn off(code: u32) {
    // SAFETY: the module ends here, on purpose; without the device the write has no effect.
    unsafe { out32(DEBUG_EXIT, code) };
    // SAFETY: as above.
    unsafe { out16(PM1A_CONTROL, SOFT_OFF) };
}

/// Writes a device's register, as the plan says. Boot has checked that it is mapped in the common
/// window, since the device's owner need not be current.
pub(crate) fn access(access: &AccessRecord) {
    let at = common(access.address);
    match access.width {
        // SAFETY: the plan names a device's register and a value that silences it or sets it up; it is mapped.
        1 => unsafe { (at as *mut u8).write_volatile(access.value as u8) },
        // SAFETY: as above.
        2 => unsafe { (at as *mut u16).write_volatile(access.value as u16) },
        // SAFETY: as above.
        4 => unsafe { (at as *mut u32).write_volatile(access.value as u32) },
        _ => {}
    }
}
