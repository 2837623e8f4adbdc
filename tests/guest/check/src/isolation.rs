// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What programs must not reach: the kernel's memory, and whatever lies below the kernel.

use guest_support::{arch as machine, attempt};

use crate::arch;
use crate::verdict::{Verdict, equal, wrong};

/// Reads and writes at many addresses of the kernel fault, with that address.
pub(crate) fn kernel_addresses() -> Verdict {
    for address in arch::kernel_addresses() {
        for (kind, result) in [("reading", attempt::load(address)), ("writing", attempt::store(address, 0x5a))] {
            let what = || format!("{kind} {address:#x}");
            match result {
                Ok(byte) => return wrong(what(), "SIGSEGV", format!("{byte:#x}")),
                Err(trap) => {
                    equal(what(), libc::SIGSEGV, trap.signal)?;
                    if arch::is_canonical(address) {
                        equal(format!("address of the fault when {}", what()), address, trap.address)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Jumps there fault, too.
pub(crate) fn kernel_calls() -> Verdict {
    for address in arch::kernel_addresses() {
        // Where calls have to be aligned, a misaligned one is another fault.
        let address = address & !15;
        match attempt::call(address) {
            Ok(_) => return wrong(format!("calling {address:#x}"), "SIGSEGV", "a return"),
            Err(trap) => equal(format!("calling {address:#x}"), libc::SIGSEGV, trap.signal)?,
        }
    }
    Ok(())
}

/// Numbers that no system call has are refused, whatever else may have a meaning for them.
pub(crate) fn system_call_numbers() -> Verdict {
    let near_ends = (0..64_u64).flat_map(|n| [u64::MAX - n, i64::MAX as u64 - n, i64::MIN as u64 + n]);
    let odd = (12..63).flat_map(|bit| [1_u64 << bit, (1 << bit) | 39, u64::MAX << bit]);
    let plain = 1000..3000_u64;
    for number in plain.chain(near_ends).chain(odd).filter(|&number| !arch::is_call(number)) {
        // SAFETY: no call has this number; if something listens to it, that is what is looked for.
        let result = unsafe { machine::call(number as libc::c_long, [0, 1, 2, 3]) };
        equal(format!("system call {number:#x}"), -(libc::ENOSYS as isize), result)?;
    }
    Ok(())
}
