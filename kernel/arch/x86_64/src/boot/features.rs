// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the processor can do, and how the kernel sets it up (Intel SDM, Vol. 2A, CPUID).

use super::Refusal;
use crate::instructions::{Cpuid, cpuid};
use crate::registers::cr4;

/// What was found of things that some processors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// CR4 for this processor.
    pub(crate) cr4: u64,
    /// User mode can change the bases of FS and GS.
    pub(crate) fsgsbase: bool,
    /// The timer can compare with the time-stamp counter.
    pub(crate) deadline: bool,
}

/// Looks, and refuses what can't run the kernel.
pub(crate) fn probe() -> Result<Features, Refusal> {
    let leaves = cpuid(0, 0).eax;
    let basic = cpuid(1, 0);
    let more = if leaves >= 7 { cpuid(7, 0) } else { Cpuid::default() };
    let extended = cpuid(0x8000_0001, 0);
    decide(basic, more, extended)
}

fn decide(basic: Cpuid, more: Cpuid, extended: Cpuid) -> Result<Features, Refusal> {
    let needed = [
        (basic.edx, 4, "time-stamp counter"),
        (basic.edx, 5, "model-specific registers"),
        (basic.edx, 9, "local APIC"),
        (basic.edx, 24, "FXSAVE"),
        (basic.edx, 26, "SSE2"),
        (extended.edx, 11, "syscall instruction"),
        (extended.edx, 20, "execute-disable bit"),
    ];
    for (word, bit, name) in needed {
        if word >> bit & 1 == 0 {
            return Err(Refusal::Processor(name));
        }
    }
    let fsgsbase = more.ebx & 1 != 0;
    let mut control = cr4::KERNEL;
    for (word, bit, flag) in
        [(basic.edx, 7, cr4::MCE), (more.ebx, 0, cr4::FSGSBASE), (more.ebx, 7, cr4::SMEP), (more.ecx, 2, cr4::UMIP)]
    {
        if word >> bit & 1 != 0 {
            control |= flag;
        }
    }
    Ok(Features { cr4: control, fsgsbase, deadline: basic.ecx >> 24 & 1 != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_what_is_there_is_used() {
        let basic = Cpuid { edx: 1 << 4 | 1 << 5 | 1 << 9 | 1 << 24 | 1 << 26, ..Cpuid::default() };
        let extended = Cpuid { edx: 1 << 11 | 1 << 20, ..Cpuid::default() };
        let plain = decide(basic, Cpuid::default(), extended).unwrap();
        assert_eq!(plain.cr4, cr4::KERNEL);
        assert!(!plain.fsgsbase && !plain.deadline);
        let more = Cpuid { ebx: 1 | 1 << 7, ecx: 1 << 2, ..Cpuid::default() };
        let checked = Cpuid { edx: basic.edx | 1 << 7, ..basic };
        let rich = decide(checked, more, extended).unwrap();
        assert_eq!(rich.cr4, cr4::KERNEL | cr4::MCE | cr4::FSGSBASE | cr4::SMEP | cr4::UMIP);
        assert!(matches!(decide(basic, more, Cpuid::default()), Err(Refusal::Processor("syscall instruction"))));
    }
}
