// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Values of the registers that govern what runs below EL2.

use crate::registers::{Amuserenr, Hstr, IdAa64Isar2, Pmcr, Pmuserenr, Vpidr};
use aarch64_cpu::registers::*;

/// Bits of HCR_EL2 (Arm ARM D24.2.55).
macro_rules! hcr {
    ($($bit:ident)+) => { $(HCR_EL2::$bit::SET.value)|+ };
}

/// HCR_EL2 of a host context: EL0, all exceptions to EL2, stage 2 alone translates.
pub(crate) const HCR_HOST: u64 = hcr!(RW TGE TSC DC AMO IMO FMO SWIO VM);
/// HCR_EL2 of a guest context: EL1 is the guest's; firmware calls, set/way maintenance, the records
/// of hardware errors, limited-order regions and what the processor's maker has added exit to the
/// shim.
const HCR_GUEST: u64 = hcr!(RW TSC TIDCP TACR TSW TLOR TERR AMO IMO FMO SWIO VM);
/// HCR_EL2.TWI: the guest's WFI exits.
pub(crate) const TWI: u64 = hcr!(TWI);

/// CPTR_EL2: FP/SIMD passes; SVE, SME, trace registers (TTA) and activity monitors (TAM) trap.
pub(crate) const CPTR_FP: u64 = 0x33ff | 1 << 20 | 1 << 30;
/// CPTR_EL2: FP/SIMD traps too.
pub(crate) const CPTR_TRAP: u64 = CPTR_FP | 1 << 10;

/// SCTLR_EL1 of a host context: reserved bits, cache maintenance by address (UCI), CTR_EL0 (UCT)
/// and DC ZVA (DZE); WFI and WFE trap, PSTATE.DAIF is not to be touched.
pub(crate) const SCTLR_HOST: u64 = 0x30d0_0800 | 1 << 26 | 1 << 15 | 1 << 14;
/// SCTLR_EL1 of a processor that was just reset.
pub(crate) const SCTLR_RESET: u64 = 0x30d0_0800;
/// CPACR_EL1 of a host context: whether FP traps is up to CPTR_EL2.
pub(crate) const CPACR_HOST: u64 = 3 << 20;
/// CNTKCTL_EL1 of a host context: the virtual counter may be read, no timer touched.
pub(crate) const CNTKCTL_HOST: u64 = 1 << 1;

/// What this processor has, as far as the kernel must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// HCR_EL2 of guests.
    pub(crate) hcr_guest: u64,
    /// Pointer authentication: keys are switched.
    pub(crate) pauth: bool,
    /// EL0 can run AArch32.
    pub(crate) aarch32: bool,
    /// VMIDs have 16 bits.
    pub(crate) wide_vmid: bool,
}

impl Features {
    /// Asks the processor.
    pub(crate) fn read() -> Features {
        Features::decode(
            [ID_AA64PFR0_EL1.get(), ID_AA64PFR1_EL1.get()],
            [ID_AA64ISAR1_EL1.get(), IdAa64Isar2.get()],
            ID_AA64MMFR1_EL1.get(),
        )
    }

    /// Decodes ID_AA64PFR0/1, ID_AA64ISAR1/2 and ID_AA64MMFR1 (Arm ARM D24.2).
    fn decode(pfr: [u64; 2], isar: [u64; 2], mmfr1: u64) -> Features {
        let [pfr0, pfr1] = pfr;
        let [isar1, isar2] = isar;
        // APA, API, GPA, GPI; APA3, GPA3.
        let pauth = isar1 & (0xff << 4 | 0xff << 24) != 0 || isar2 & (0xff << 8) != 0;
        // SVE, AMU; MTE, SME: not switched, so not for guests. The shim answers their ID reads.
        let hidden = pfr0 & (0xf << 32 | 0xf << 44) != 0 || pfr1 & (0xf << 8 | 0xf << 24) != 0;
        Features {
            hcr_guest: HCR_GUEST | if pauth { hcr!(API APK) } else { 0 } | if hidden { hcr!(TID3) } else { 0 },
            pauth,
            aarch32: pfr0 & 0xf == 2,
            wide_vmid: mmfr1 >> 4 & 0xf == 2,
        }
    }
}

/// VTCR_EL2 for the format of `parzelle_paging::Stage2`: 39 bits of address from level 1, 4 KiB
/// pages, walks inner shareable and write-back.
const fn vtcr(physical_range: u64, wide_vmid: bool) -> u64 {
    let ps = if physical_range > 5 { 5 } else { physical_range };
    1 << 31 | (wide_vmid as u64) << 19 | ps << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 25
}

/// Sets this core's registers that never change, and those of a host context.
pub(crate) fn init() {
    let features = Features::read();
    VTCR_EL2.set(vtcr(ID_AA64MMFR0_EL1.get() & 0xf, features.wide_vmid));
    HCR_EL2.set(HCR_HOST);
    CPTR_EL2.set(CPTR_FP);
    Hstr.set(0);
    // HPMN: all counters; TPMCR, TPM, TDRA, TTRF: PMU and trace are not the guest's. TDA, TDOSA:
    // its debug registers exit to the shim. Its debug exceptions stay its own (TDE = 0).
    let counters = Pmcr.get() >> 11 & 0x1f;
    MDCR_EL2.set(counters | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 19);
    // EL1PCTEN: the physical counter may be read; the physical timer of EL1 is nobody's.
    CNTHCTL_EL2.set(1);
    CNTVOFF_EL2.set(0);
    CNTV_CTL_EL0.set(0);
    Vpidr.set(MIDR_EL1.get());
    Pmuserenr.set(0);
    // Activity monitors, where there are any (ID_AA64PFR0_EL1.AMU).
    if ID_AA64PFR0_EL1.get() >> 44 & 0xf != 0 {
        Amuserenr.set(0);
    }
    MDSCR_EL1.set(0);
    // A locked OS lock would keep guests from stepping.
    OSLAR_EL1.set(0);
    TPIDRRO_EL0.set(0);
    host_el1();
}

/// Loads the EL1 controls of a host context: what a guest wrote there would act on EL0 otherwise.
pub(crate) fn host_el1() {
    SCTLR_EL1.set(SCTLR_HOST);
    CPACR_EL1.set(CPACR_HOST);
    CNTKCTL_EL1.set(CNTKCTL_HOST);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with which native code and stock guests ran.
    #[test]
    fn known_values() {
        assert_eq!(HCR_HOST, 0x8808_103b);
        assert_eq!(HCR_GUEST & !hcr!(TIDCP TACR TSW TLOR TERR), 0x8008_003b);
        assert_eq!(CPTR_FP, 0x4010_33ff);
        assert_eq!(vtcr(2, false), 0x8002_3559);
        assert_eq!(SCTLR_HOST & !(1 << 26 | 3 << 14), 0x30d0_0800);
    }

    #[test]
    fn features_are_decoded() {
        // Cortex-A57: AArch32 at all levels, none of the rest.
        let a57 = Features::decode([0x2222, 0], [0, 0], 0);
        assert_eq!(a57.hcr_guest, HCR_GUEST);
        assert!(a57.aarch32 && !a57.pauth && !a57.wide_vmid);
        let newer = Features::decode([0x1_0000_0011, 0x200], [0x10, 0], 0x20);
        assert_eq!(newer.hcr_guest, HCR_GUEST | hcr!(API APK TID3));
        assert!(!newer.aarch32 && newer.pauth && newer.wide_vmid);
    }
}
