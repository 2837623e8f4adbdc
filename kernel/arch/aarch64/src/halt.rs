// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ending the module: PSCI (Arm DEN 0022) by SMC.

use crate::registers::{secure_monitor_call, wait_for_interrupt};
use parzelle_core::machine::Halt;

const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

/// Switches off or resets. Should the firmware return, this core stops.
pub(crate) fn halt(how: Halt) -> ! {
    let function = match how {
        Halt::Stop | Halt::Fail => SYSTEM_OFF,
        Halt::Reset => SYSTEM_RESET,
    };
    secure_monitor_call(function, [0; 3]);
    loop {
        wait_for_interrupt();
    }
}
