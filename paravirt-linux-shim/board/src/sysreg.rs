// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a guest reads from the system registers that the kernel traps.
//!
//! Identification registers show the processor without what a guest can't have: levels above its
//! own, AArch32, and every extension with state that the kernel doesn't switch or with controls
//! that it doesn't open (SVE, SME, MTE, PMU, AMU, tracing, …). What isn't in the lists below is
//! hidden, so an extension that is invented tomorrow is hidden too. Performance-counter
//! and implementation-defined registers read as zero and ignore writes; so do debug registers, but those for
//! single steps, breakpoints and watchpoints, which the guest has (`GuestRegisters::debug`).
//!
//! Fields after the Arm ARM (DDI 0487), D24.2 "General system control registers".

use crate::exit::SysReg;

/// `ICC_SGI1R_EL1`: sends an interrupt to other vCPUs. Always trapped.
pub const ICC_SGI1R: SysReg = SysReg(3, 0, 12, 11, 5);

/// What the kernel can give to guests on this board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `HCR_EL2.API` and `APK` are set: the guest may use pointer authentication.
    pub pointer_authentication: bool,
}

/// What to do about a trapped register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Reads give this, writes are ignored.
    Value(u64),
    /// A write sends an interrupt.
    SendSgi,
    /// Reads give zero, writes are ignored, and it is worth a note: nobody expected this register.
    Unknown,
}

/// Decides about the trapped register `register`. `real` reads an identification register of this
/// processor; a caller that can't gives zeros, which describe the plain ARMv8.0 processor.
#[must_use]
pub fn answer(register: SysReg, features: Features, real: impl FnOnce(SysReg) -> u64) -> Answer {
    match register {
        ICC_SGI1R => Answer::SendSgi,
        SysReg(3, 0, 0, 1..=7, _) => Answer::Value(identification(register, real(register), features)),
        // Debug and trace; the lock status says "no lock".
        SysReg(2, ..) => Answer::Value(0),
        // Performance counters, statistical profiling, activity monitors.
        SysReg(3, 0, 9, ..)
        | SysReg(3, 3, 9, 12..=15, _)
        | SysReg(3, 3, 14, 8..=15, _)
        | SysReg(3, 3, 13, 2..=15, _) => Answer::Value(0),
        // ACTLR_EL1, AFSR0/1_EL1, AMAIR_EL1.
        SysReg(3, 0, 1, 0, 1) | SysReg(3, 0, 5, 1, _) | SysReg(3, 0, 10, 3, 0) => Answer::Value(0),
        // Cache maintenance by set and way: stage 2 keeps the guest's memory coherent without it.
        SysReg(1, 0, 7, ..) => Answer::Value(0),
        // Implementation defined.
        SysReg(3, _, 11 | 15, ..) => Answer::Value(0),
        _ => Answer::Unknown,
    }
}

/// Makes a mask of four-bit fields from the numbers of their lowest bits.
const fn fields(lowest: &[u32]) -> u64 {
    let (mut mask, mut n) = (0, 0);
    while n < lowest.len() {
        mask |= 0xf << lowest[n];
        n += 1;
    }
    mask
}

/// Lowers the four-bit field at `low` to `most`.
const fn at_most(value: u64, low: u32, most: u64) -> u64 {
    let field = value >> low & 0xf;
    if field > most { value & !(0xf << low) | most << low } else { value }
}

/// Returns what the guest sees of the identification register `register`, whose real value is
/// `real`.
#[must_use]
pub fn identification(register: SysReg, real: u64, features: Features) -> u64 {
    let authentication = if features.pointer_authentication { u64::MAX } else { 0 };
    match register {
        // PFR0: FP, AdvSIMD, DIT, CSV2 (without SCXTNUM), CSV3; EL0 and EL1 in AArch64; GICv3
        // system registers.
        SysReg(3, 0, 0, 4, 0) => at_most(real & fields(&[16, 20, 48, 56, 60]), 56, 1) | 1 << 24 | 0x11,
        // PFR1: BT, SSBS.
        SysReg(3, 0, 0, 4, 1) => real & fields(&[0, 4]),
        // DFR0: the debug architecture of ARMv8.0 with the fewest breakpoints that it allows.
        SysReg(3, 0, 0, 5, 0) => 6 | 1 << 12 | 1 << 20,
        // ISAR0: AES, SHA1, SHA2, CRC32, atomics, RDM, SHA3, SM3, SM4, DP, FHM, TS, TLB, RNDR.
        SysReg(3, 0, 0, 6, 0) => real & fields(&[4, 8, 12, 16, 20, 28, 32, 36, 40, 44, 48, 52, 56, 60]),
        // ISAR1: DPB, JSCVT, FCMA, LRCPC, FRINTTS, SB, SPECRES, BF16, DGH, I8MM; APA, API, GPA,
        // GPI.
        SysReg(3, 0, 0, 6, 1) => {
            real & (fields(&[0, 12, 16, 20, 32, 36, 40, 44, 48, 52]) | fields(&[4, 8, 24, 28]) & authentication)
        }
        // ISAR2: RPRES, BC, CLRBHB; GPA3, APA3, PAC_frac.
        SysReg(3, 0, 0, 6, 2) => real & (fields(&[4, 20, 28]) | fields(&[8, 12, 24]) & authentication),
        // MMFR0: PARange (to 40 bits), ASIDBits, BigEnd, TGran16, TGran64, TGran4, ExS.
        SysReg(3, 0, 0, 7, 0) => at_most(real & fields(&[0, 4, 8, 16, 20, 24, 28, 44]), 0, 2),
        // MMFR1: HAFDBS, HPDS, PAN, ETS, AFP.
        SysReg(3, 0, 0, 7, 1) => real & fields(&[0, 12, 20, 36, 44]),
        // MMFR2: CnP, UAO, VARange, CCIDX, AT, IDS, TTL, BBM, E0PD.
        SysReg(3, 0, 0, 7, 2) => real & fields(&[0, 4, 16, 20, 32, 36, 48, 52, 60]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAC: Features = Features { pointer_authentication: true };

    fn id(crm: u8, op2: u8, real: u64, features: Features) -> u64 {
        identification(SysReg(3, 0, 0, crm, op2), real, features)
    }

    #[test]
    fn hides_what_the_kernel_does_not_switch() {
        let everything = 0x1111_1111_1111_1111;
        let pfr0 = id(4, 0, everything, PAC);
        for (name, low) in [("EL2", 8), ("EL3", 12), ("RAS", 28), ("SVE", 32), ("MPAM", 40), ("AMU", 44), ("RME", 52)] {
            assert_eq!(pfr0 >> low & 0xf, 0, "{name}");
        }
        let pfr1 = id(4, 1, everything, PAC);
        for (name, low) in [("MTE", 8), ("SME", 24), ("NMI", 36), ("GCS", 44)] {
            assert_eq!(pfr1 >> low & 0xf, 0, "{name}");
        }
        let dfr0 = id(5, 0, everything, PAC);
        for (name, low) in [("PMUVer", 8), ("TraceVer", 4), ("PMSVer", 32), ("TraceBuffer", 44), ("BRBE", 52)] {
            assert_eq!(dfr0 >> low & 0xf, 0, "{name}");
        }
        assert_eq!(id(4, 4, everything, PAC), 0, "ZFR0");
        assert_eq!(id(4, 5, everything, PAC), 0, "SMFR0");
        assert_eq!(id(1, 0, everything, PAC), 0, "AArch32");
    }

    #[test]
    fn missing_fields_stay_missing_and_signed_ones_stay_signed() {
        // FP and AdvSIMD are 0xf where they don't exist.
        assert_eq!(id(4, 0, 0x00ff_0000, PAC) >> 16 & 0xff, 0xff);
        // TGran64 0xf: not supported; PARange 48 bits becomes 40.
        assert_eq!(id(7, 0, 0x0f00_0005, PAC), 0x0f00_0002);
    }

    #[test]
    fn pointer_authentication_only_where_the_kernel_opened_it() {
        assert_eq!(id(6, 1, 0x1100_0ff0, PAC), 0x1100_0ff0);
        assert_eq!(id(6, 1, 0x1100_0ff0, Features::default()), 0);
    }

    #[test]
    fn sorts_registers() {
        let ask = |register| answer(register, PAC, |_| u64::MAX);
        assert_eq!(ask(ICC_SGI1R), Answer::SendSgi);
        assert_eq!(ask(SysReg(3, 3, 9, 12, 0)), Answer::Value(0), "PMCR_EL0");
        assert_eq!(ask(SysReg(2, 0, 0, 2, 2)), Answer::Value(0), "MDSCR_EL1");
        assert_eq!(ask(SysReg(3, 0, 1, 0, 0)), Answer::Unknown, "SCTLR_EL1 should never trap");
    }
}
