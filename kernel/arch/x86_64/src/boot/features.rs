// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the processor can do, and how the kernel sets it up (Intel SDM, Vol. 2A, CPUID).

use super::{Refusal, ensure};
use crate::instructions as cpu;
use crate::registers::cr4;

/// What was found of things that some processors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// CR4 for this processor.
    pub(crate) cr4: u64,
    /// There are IA32_PRED_CMD, IA32_FLUSH_CMD.
    pub(crate) ibpb: bool,
    pub(crate) l1d_flush: bool,
    /// The timer can compare with the time-stamp counter.
    pub(crate) deadline: bool,
}

/// Looks, and refuses what can't run the kernel.
pub(crate) fn probe() -> Result<Features, Refusal> {
    // SAFETY: asking changes nothing.
    let cpuid = |leaf| unsafe { cpu::cpuid(leaf) };
    let [leaves, ..] = cpuid(0);
    decide(cpuid(1), if leaves >= 7 { cpuid(7) } else { [0; 4] }, cpuid(0x8000_0001))
}

/// Decides by EAX, EBX, ECX and EDX of leaves 1, 7 and 8000_0001.
fn decide(basic: [u32; 4], more: [u32; 4], extended: [u32; 4]) -> Result<Features, Refusal> {
    let [_, _, basic_c, basic_d] = basic;
    let [_, more_b, more_c, more_d] = more;
    let [.., extended_d] = extended;
    let needed = [
        (basic_d, 4, "time-stamp counter"),
        (basic_d, 5, "model-specific registers"),
        (basic_d, 9, "local APIC"),
        (basic_d, 24, "FXSAVE"),
        (basic_d, 26, "SSE2"),
        (extended_d, 11, "syscall instruction"),
        (extended_d, 20, "execute-disable bit"),
    ];
    for (word, bit, name) in needed {
        ensure(word >> bit & 1 != 0, Refusal::Sentence("the processor has no", name))?;
    }
    let optional = [(basic_d, 7, cr4::MCE), (more_b, 0, cr4::FSGSBASE), (more_b, 7, cr4::SMEP), (more_c, 2, cr4::UMIP)];
    let there = optional.into_iter().filter(|(word, bit, _)| word >> bit & 1 != 0);
    let cr4 = there.fold(cr4::KERNEL, |all, (.., flag)| all | flag);
    let [ibpb, l1d_flush] = [26, 28].map(|bit| more_d >> bit & 1 != 0);
    Ok(Features { cr4, ibpb, l1d_flush, deadline: basic_c >> 24 & 1 != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_what_is_there_is_used() {
        let bits = 1 << 4 | 1 << 5 | 1 << 9 | 1 << 24 | 1 << 26;
        let (basic, checked) = ([0, 0, 0, bits], [0, 0, 0, bits | 1 << 7]);
        let extended = [0, 0, 0, 1 << 11 | 1 << 20];
        let plain = decide(basic, [0; 4], extended).unwrap();
        assert_eq!(plain.cr4, cr4::KERNEL);
        assert!(!plain.ibpb && !plain.l1d_flush && !plain.deadline);
        let rich = decide(checked, [0, 1 | 1 << 7, 1 << 2, 1 << 26 | 1 << 28], extended).unwrap();
        assert!(rich.ibpb && rich.l1d_flush);
        assert_eq!(rich.cr4, cr4::KERNEL | cr4::MCE | cr4::FSGSBASE | cr4::SMEP | cr4::UMIP);
        let refused = decide(basic, [0; 4], [0; 4]).unwrap_err();
        assert_eq!(refused.to_string(), "the processor has no syscall instruction");
    }
}
