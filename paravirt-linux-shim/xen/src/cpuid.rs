// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a guest may see of its processor, when it asks so that the shim hears it.
//!
//! ```text
//!   shown    what user programs and kernels use without help: instructions, caches, brand
//!   hidden   what needs ring 0 (PCID, SMEP, PGE …), MSRs that nobody emulates, topology of the machine
//!   made up  Xen's own leaves at 0x4000_0000, the APIC id, the state that XSAVE saves
//! ```
//!
//! Shown is only what is listed ([`table::RULES`]): features of processors to come stay hidden until
//! somebody has thought about them. A plain `cpuid` does not trap on most processors; this hides
//! nothing from a program that insists, it keeps the guest's kernel from using what it has not.

mod table;

pub use table::{RULES, Rule};

use crate::abi::version::{VERSION, feature};
use crate::time::Scale;

/// eax, ebx, ecx, edx.
pub type Leaf = [u32; 4];

/// Xen's first leaf.
const XEN: u32 = 0x4000_0000;
/// Its last.
const XEN_LAST: u32 = XEN + 5;
/// The last basic leaf that is shown: extended states.
const BASIC_LAST: u32 = 0xd;
/// The first extended leaf, and the last that is shown: address sizes.
const EXTENDED: u32 = 0x8000_0000;
/// See [`EXTENDED`].
const EXTENDED_LAST: u32 = EXTENDED + 8;
/// AMD's leaf of what segments do; nothing lies between, as far as guests are told.
const SEGMENTS: u32 = EXTENDED + 0x21;
/// Its eax: a null selector clears the base. A kernel that is told by a hypervisor that it does not, or nothing of
/// it, loads two selectors instead of none whenever it switches processes.
const NULL_CLEARS_BASE: u32 = 1 << 6;
/// "The counter is never emulated."
const NEVER_EMULATED: u32 = 2;
/// Widths of machine addresses above this make Linux ask for another layout of grants.
const ADDRESS_BITS: u32 = 40;

/// Bits of leaves that are not constant.
mod bit {
    /// Leaf 1, ecx.
    pub(super) const XSAVE: u32 = 1 << 26;
    /// Leaf 1, ecx.
    pub(super) const OSXSAVE: u32 = 1 << 27;
    /// Leaf 1, ecx: FMA, AVX, F16C.
    pub(super) const AVX: u32 = 1 << 12 | 1 << 28 | 1 << 29;
    /// Leaf 7, ebx: AVX2.
    pub(super) const AVX2: u32 = 1 << 5;
    /// Leaf 7, ecx: VAES, VPCLMULQDQ.
    pub(super) const VAES: u32 = 1 << 9 | 1 << 10;
    /// Leaf 0x8000_0001, ecx: XOP, FMA4.
    pub(super) const XOP: u32 = 1 << 11 | 1 << 16;
    /// XCR0: the upper halves of AVX registers.
    pub(super) const YMM: u64 = 1 << 2;
    /// Leaf 0x8000_0007, edx: the counter's rate never changes.
    pub(super) const INVARIANT_COUNTER: u32 = 1 << 8;
}

/// What the answers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The asking vCPU.
    pub vcpu: u32,
    /// XCR0's bits that the guest may set; 0: no XSAVE at all.
    pub xcr0: u64,
    /// The guest has set CR4.OSXSAVE.
    pub osxsave: bool,
    /// Ticks of the counter per second.
    pub counter_frequency: u64,
    /// Ticks to nanoseconds.
    pub scale: Scale,
    /// The counter's rate never changes, and all processors' counters agree.
    pub counter_is_stable: bool,
    /// A null selector that is loaded into FS or GS clears the base: seen, not read.
    pub null_clears_base: bool,
}

/// Answers `cpuid`; `host` executes it.
pub fn answer(leaf: u32, subleaf: u32, facts: &Facts, host: impl Fn(u32, u32) -> Leaf) -> Leaf {
    if (XEN..XEN + 0x1_0000).contains(&leaf) {
        return xen(leaf, subleaf, facts);
    }
    if leaf == SEGMENTS && facts.null_clears_base {
        return [NULL_CLEARS_BASE, 0, 0, 0];
    }
    let last = match leaf {
        0..EXTENDED => host(0, 0)[0].min(BASIC_LAST),
        _ => host(EXTENDED, 0)[0].min(EXTENDED_LAST),
    };
    if leaf > last {
        return [0; 4];
    }
    let Some(rule) = RULES.iter().find(|rule| rule.leaf == leaf && rule.subleaf.is_none_or(|only| only == subleaf))
    else {
        return [0; 4];
    };
    let there = host(leaf, subleaf);
    let mut shown: Leaf = core::array::from_fn(|index| match (there.get(index), rule.shown.get(index)) {
        (Some(there), Some(shown)) => there & shown,
        _ => 0,
    });
    adjust(leaf, subleaf, facts, &mut shown);
    shown
}

/// What depends on more than a mask.
fn adjust(leaf: u32, subleaf: u32, facts: &Facts, shown: &mut Leaf) {
    let [eax, ebx, ecx, edx] = shown;
    let has_avx = facts.xcr0 & bit::YMM != 0;
    let set = |word: &mut u32, bits: u32, on: bool| *word = *word & !bits | if on { bits } else { 0 };
    match (leaf, subleaf) {
        (0, _) => *eax = (*eax).min(BASIC_LAST),
        (EXTENDED, _) if facts.null_clears_base => *eax = SEGMENTS,
        (EXTENDED, _) => *eax = (*eax).min(EXTENDED_LAST),
        (1, _) => {
            // As Xen numbers them: even ones, so that no two look like threads of one core.
            *ebx |= facts.vcpu << 25;
            *ecx |= table::HYPERVISOR;
            if facts.xcr0 == 0 {
                *ecx &= !bit::XSAVE;
            }
            set(ecx, bit::OSXSAVE, facts.osxsave && *ecx & bit::XSAVE != 0);
            if !has_avx {
                *ecx &= !bit::AVX;
            }
        }
        (7, 0) => {
            *eax = 0;
            if !has_avx {
                *ebx &= !bit::AVX2;
                *ecx &= !bit::VAES;
            }
        }
        (0xd, 0) => {
            // The layout that all processors share up to AVX (SDM volume 1, §13.4).
            let bytes = match facts.xcr0 {
                0 => 0,
                _ if has_avx => 832,
                _ => 576,
            };
            let [low, high] = [facts.xcr0 as u32, (facts.xcr0 >> 32) as u32];
            (*eax, *ebx, *ecx, *edx) = (*eax & low, bytes, bytes, *edx & high);
        }
        (0xd, 1) if facts.xcr0 == 0 => *eax = 0,
        (0xd, 2) if !has_avx => *shown = [0; 4],
        (0x8000_0001, _) if !has_avx => *ecx &= !bit::XOP,
        (0x8000_0007, _) if !facts.counter_is_stable => *edx &= !bit::INVARIANT_COUNTER,
        _ => {}
    }
}

/// Xen's leaves (`arch-x86/cpuid.h`). Those further up, where other hypervisors answer, are empty.
fn xen(leaf: u32, subleaf: u32, facts: &Facts) -> Leaf {
    const PRESERVES_AD: u32 = 1;
    let kilohertz = (facts.counter_frequency / 1000) as u32;
    match (leaf - XEN, subleaf) {
        (0, _) => [XEN_LAST, name(*b"XenV"), name(*b"MMXe"), name(*b"nVMM")],
        (1, _) => [VERSION, 0, 0, 0],
        (2, _) => {
            [1, XEN, if feature::OFFERED & feature::MMU_PT_UPDATE_PRESERVE_AD != 0 { PRESERVES_AD } else { 0 }, 0]
        }
        (3, 0) => [u32::from(facts.counter_is_stable) << 1, NEVER_EMULATED, kilohertz, 0],
        (3, 1) => [0, 0, facts.scale.multiplier, i32::from(facts.scale.shift).cast_unsigned() & 0xff],
        (3, 2) => [kilohertz, 0, 0, 0],
        (5, 0) => [0, ADDRESS_BITS, 0, 0],
        _ => [0; 4],
    }
}

const fn name(text: [u8; 4]) -> u32 {
    u32::from_le_bytes(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts() -> Facts {
        Facts {
            vcpu: 3,
            xcr0: 7,
            osxsave: false,
            counter_frequency: 2_500_000_000,
            scale: Scale::of_frequency(2_500_000_000).unwrap(),
            counter_is_stable: true,
            null_clears_base: false,
        }
    }

    /// A processor that has everything.
    fn everything(leaf: u32, _: u32) -> Leaf {
        match leaf {
            0 => [0x20, name(*b"Genu"), name(*b"ntel"), name(*b"ineI")],
            EXTENDED => [EXTENDED + 0x21, 0, 0, 0],
            _ => [u32::MAX; 4],
        }
    }

    #[test]
    fn linux_finds_xen() {
        let [last, b, c, d] = answer(0x4000_0000, 0, &facts(), everything);
        let text: Vec<u8> = [b, c, d].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(text, b"XenVMMXenVMM");
        assert!(last >= 0x4000_0002, "Linux wants two more leaves at least");
        assert_eq!(answer(0x4000_0100, 0, &facts(), everything), [0; 4], "nobody else is here");
        assert_eq!(answer(0x4000_0003, 0, &facts(), everything), [2, 2, 2_500_000, 0]);
    }

    #[test]
    fn what_needs_ring_0_is_hidden() {
        let [_, ebx, ecx, edx] = answer(1, 0, &facts(), everything);
        assert_eq!(ebx >> 24, 6, "the APIC id");
        let (pcid, x2apic, vmx, deadline) = (1 << 17, 1 << 21, 1 << 5, 1 << 24);
        assert_eq!(ecx & (pcid | x2apic | vmx | deadline), 0);
        let (pse, pge, pse36, mtrr, vme, htt) = (1 << 3, 1 << 13, 1 << 17, 1 << 12, 1 << 1, 1 << 28);
        assert_eq!(edx & (pse | pge | pse36 | mtrr | vme | htt), 0);
        let [_, ebx, ecx, _] = answer(7, 0, &facts(), everything);
        let (fsgsbase, smep, invpcid, smap, umip, pku) = (1, 1 << 7, 1 << 10, 1 << 20, 1 << 2, 1 << 3);
        assert_eq!(ebx & (fsgsbase | smep | invpcid | smap), 0);
        assert_eq!(ecx & (umip | pku), 0);
        assert_eq!(answer(0xd, 1, &facts(), everything)[0] & 1 << 3, 0, "XSAVES");
        for leaf in [5, 6, 0xa] {
            assert_eq!(answer(leaf, 0, &facts(), everything), [0; 4]);
        }
    }

    #[test]
    fn long_mode_stays() {
        let [.., ecx, edx] = answer(0x8000_0001, 0, &facts(), everything);
        let (syscall, nx, lm, gbpages, rdtscp) = (1 << 11, 1 << 20, 1 << 29, 1 << 26, 1 << 27);
        assert_eq!(edx & (syscall | nx | lm | gbpages | rdtscp), syscall | nx | lm);
        assert_eq!(ecx & 4, 0, "SVM");
        let [.., edx] = answer(1, 0, &facts(), everything);
        let (fpu, msr, pae, cx8, cmov, fxsr, sse2) = (1, 1 << 5, 1 << 6, 1 << 8, 1 << 15, 1 << 24, 1 << 26);
        let needed = fpu | msr | pae | cx8 | cmov | fxsr | sse2;
        assert_eq!(edx & needed, needed, "what a 64-bit kernel requires");
    }

    #[test]
    fn state_that_is_not_saved_is_not_offered() {
        let with = |xcr0, osxsave| Facts { xcr0, osxsave, ..facts() };
        let ecx = |facts: Facts| answer(1, 0, &facts, everything)[2];
        assert_eq!(ecx(with(7, false)) & (bit::XSAVE | bit::OSXSAVE), bit::XSAVE);
        assert_eq!(ecx(with(7, true)) & bit::OSXSAVE, bit::OSXSAVE);
        assert_eq!(ecx(with(3, true)) & bit::AVX, 0);
        assert_eq!(ecx(with(0, true)) & (bit::XSAVE | bit::OSXSAVE), 0);
        assert_eq!(answer(0xd, 0, &with(3, true), everything), [3, 576, 576, 0]);
        assert_eq!(answer(0xd, 0, &with(7, true), everything), [7, 832, 832, 0]);
        assert_eq!(answer(0xd, 2, &with(3, true), everything), [0; 4]);
        assert_eq!(answer(7, 0, &with(3, true), everything)[1] & bit::AVX2, 0);
    }

    #[test]
    fn what_segments_do_is_told_if_it_was_seen() {
        let last = |facts: &Facts| answer(EXTENDED, 0, facts, everything)[0];
        let seen = Facts { null_clears_base: true, ..facts() };
        assert_eq!((last(&facts()), last(&seen)), (EXTENDED_LAST, SEGMENTS));
        assert_eq!(answer(SEGMENTS, 0, &facts(), everything), [0; 4]);
        assert_eq!(answer(SEGMENTS, 0, &seen, everything), [1 << 6, 0, 0, 0]);
        assert_eq!(answer(SEGMENTS - 1, 0, &seen, everything), [0; 4]);
    }

    proptest! {
        /// Nothing is invented, and nothing is beyond what the processor has.
        #[test]
        fn only_what_is_there_is_shown(
            leaf in prop_oneof![0u32..0x24, 0x8000_0001u32..0x8000_0024, any::<u32>()],
            subleaf in 0u32..4,
            there: Leaf,
            last in 0u32..0x20,
        ) {
            let host = |asked: u32, _: u32| match asked {
                0 => [last, 0, 0, 0],
                EXTENDED => [EXTENDED + last, 0, 0, 0],
                _ => there,
            };
            let shown = answer(leaf, subleaf, &facts(), host);
            let made_up = matches!(leaf, 0 | 1 | 0xd) || (XEN..XEN + 0x1_0000).contains(&leaf) || leaf == EXTENDED;
            if !made_up {
                prop_assert!(shown.iter().zip(there).all(|(shown, there)| shown & !there == 0));
            }
            if (leaf > last && leaf < XEN) || leaf > EXTENDED + last {
                prop_assert_eq!(shown, [0; 4]);
            }
        }
    }
}
