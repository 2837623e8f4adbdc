// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The leaves that are shown, and which of their bits (SDM volume 2, "CPUID"; AMD APM volume 3,
//! appendix E). A leaf that is not here is all zeroes.

use super::Leaf;

/// A leaf, or one subleaf of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which leaf.
    pub leaf: u32,
    /// Which subleaf; none: the leaf has none, or all are shown alike.
    pub subleaf: Option<u32>,
    /// Bits that are shown.
    pub shown: Leaf,
}

const ALL: u32 = u32::MAX;

/// Leaf 1, ecx: a hypervisor is here.
pub(super) const HYPERVISOR: u32 = 1 << 31;

/// A word of these bits.
const fn bits(list: &[u32]) -> u32 {
    let mut word = 0;
    let mut rest = list;
    while let [first, others @ ..] = rest {
        word |= 1 << *first;
        rest = others;
    }
    word
}

/// Leaf 1: SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND.
const ECX_1: u32 = bits(&[0, 1, 9, 12, 13, 19, 20, 22, 23, 25, 26, 28, 29, 30]);
/// Leaf 1: FPU DE TSC MSR PAE CX8 APIC SEP CMOV PAT CLFLUSH MMX FXSR SSE SSE2 SS. The APIC, for
/// Linux looks for its own stand-in only if there is one; no MCE and MCA, whose MSRs it would use.
const EDX_1: u32 = bits(&[0, 2, 4, 5, 6, 8, 9, 11, 15, 16, 19, 23, 24, 25, 26, 27]);
/// Leaf 7: BMI1 AVX2 BMI2 ERMS RDSEED ADX CLFLUSHOPT CLWB SHA. FSGSBASE is on, but the shim's.
const EBX_7: u32 = bits(&[3, 5, 8, 9, 18, 19, 23, 24, 29]);
/// Leaf 7: GFNI VAES VPCLMULQDQ MOVDIRI.
const ECX_7: u32 = bits(&[8, 9, 10, 27]);
/// Leaf 7: FSRM, MD_CLEAR (what `verw` does), SERIALIZE.
const EDX_7: u32 = bits(&[4, 10, 14]);
/// Leaf 0xd, 1: XSAVEOPT XSAVEC XGETBV1.
const EAX_D_1: u32 = bits(&[0, 1, 2]);
/// Leaf 0x8000_0001: LAHF ABM SSE4A MISALIGNSSE PREFETCH XOP FMA4 TBM.
const ECX_EXTENDED: u32 = bits(&[0, 5, 6, 7, 8, 11, 16, 21]);
/// Leaf 0x8000_0001: SYSCALL NX MMXEXT FFXSR LM 3DNOWEXT 3DNOW, and AMD's copies of leaf 1. No
/// RDTSCP: the number that it tells is in an MSR.
const EDX_EXTENDED: u32 = bits(&[11, 20, 22, 25, 29, 30, 31]) | EDX_1 & 0x0183_f3ff;

/// All that is shown.
pub const RULES: &[Rule] = &[
    whole(0, [ALL, ALL, ALL, ALL]),
    // Family; brand index and CLFLUSH size; features.
    whole(1, [ALL, 0xffff, ECX_1, EDX_1]),
    // Caches, as Intel tells them; without how many share them.
    whole(2, [ALL, ALL, ALL, ALL]),
    whole(4, [0x3fff, ALL, ALL, ALL]),
    part(7, 0, [ALL, EBX_7, ECX_7, EDX_7]),
    part(0xd, 0, [ALL, ALL, ALL, ALL]),
    part(0xd, 1, [EAX_D_1, 0, 0, 0]),
    part(0xd, 2, [ALL, ALL, ALL, ALL]),
    whole(0x8000_0000, [ALL, ALL, ALL, ALL]),
    whole(0x8000_0001, [ALL, ALL, ECX_EXTENDED, EDX_EXTENDED]),
    // The brand.
    whole(0x8000_0002, [ALL, ALL, ALL, ALL]),
    whole(0x8000_0003, [ALL, ALL, ALL, ALL]),
    whole(0x8000_0004, [ALL, ALL, ALL, ALL]),
    // Caches, as AMD tells them.
    whole(0x8000_0005, [ALL, ALL, ALL, ALL]),
    whole(0x8000_0006, [ALL, ALL, ALL, ALL]),
    // The counter's rate never changes.
    whole(0x8000_0007, [0, 0, 0, 1 << 8]),
    // Address sizes; CLZERO.
    whole(0x8000_0008, [0xffff, 1, 0, 0]),
];

const fn whole(leaf: u32, shown: Leaf) -> Rule {
    Rule { leaf, subleaf: None, shown }
}

const fn part(leaf: u32, subleaf: u32, shown: Leaf) -> Rule {
    Rule { leaf, subleaf: Some(subleaf), shown }
}
