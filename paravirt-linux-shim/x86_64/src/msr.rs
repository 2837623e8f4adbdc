// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Model-specific registers, as far as a guest sees any.
//!
//! | what | read | written |
//! |---|---|---|
//! | bases of FS and GS | as they are | yes |
//! | features, PAT, APIC base, microcode | a constant | ignored |
//! | machine checks | none | ignored |
//! | all others | #GP | #GP: Linux goes on without |
//!
//! Numbers: Intel SDM volume 4, AMD's manual volume 2, appendix A.

use crate::instructions::{fs_base, is_canonical, set_fs_base};
use crate::own;
use crate::run::Runner;
use crate::vcpu::register;

/// Numbers.
mod number {
    pub(super) const PLATFORM: u32 = 0x17;
    pub(super) const APIC_BASE: u32 = 0x1b;
    pub(super) const FEATURE_CONTROL: u32 = 0x3a;
    pub(super) const MICROCODE: u32 = 0x8b;
    pub(super) const PLATFORM_INFO: u32 = 0xce;
    pub(super) const MISC_FEATURES: u32 = 0x140;
    pub(super) const MCG_CAP: u32 = 0x179;
    pub(super) const MCG_STATUS: u32 = 0x17a;
    pub(super) const MISC_ENABLE: u32 = 0x1a0;
    pub(super) const PAT: u32 = 0x277;
    pub(super) const MC0: u32 = 0x400;
    pub(super) const MC_LAST: u32 = 0x47f;
    pub(super) const EFER: u32 = 0xc000_0080;
    pub(super) const FS_BASE: u32 = 0xc000_0100;
    pub(super) const GS_BASE: u32 = 0xc000_0101;
    pub(super) const KERNEL_GS_BASE: u32 = 0xc000_0102;
    pub(super) const TSC_AUX: u32 = 0xc000_0103;
    pub(super) const SYSCFG: u32 = 0xc001_0010;
    pub(super) const HWCR: u32 = 0xc001_0015;
    pub(super) const DE_CFG: u32 = 0xc001_1029;
}

/// Where the APIC would be, enabled; the bit of the boot processor is [`BOOT`].
const APIC: u64 = 0xfee0_0800;
/// See [`APIC`].
const BOOT: u64 = 1 << 8;
/// Memory types as Xen's guests have them.
const PAT: u64 = 0x0000_0501_0007_0406;
/// SCE, LME, LMA, NXE.
const EFER: u64 = 0xd01;

impl Runner {
    /// `rdmsr`. False: there is no such register.
    pub(crate) fn read_msr(&mut self) -> bool {
        let Some(value) = self.msr() else { return false };
        self.answer([value as u32, (value >> 32) as u32]);
        true
    }

    fn msr(&mut self) -> Option<u64> {
        Some(match self.vcpu.general[register::RCX] as u32 {
            number::APIC_BASE => APIC | if self.vcpu.index == 0 { BOOT } else { 0 },
            number::FEATURE_CONTROL => 1,
            number::MISC_ENABLE => 1,
            number::PAT => PAT,
            number::EFER => EFER,
            number::FS_BASE => fs_base(),
            number::GS_BASE => *self.vcpu.own(own::GS_KERNEL),
            number::KERNEL_GS_BASE => *self.vcpu.own(own::GS_USER),
            number::PLATFORM
            | number::MICROCODE
            | number::PLATFORM_INFO
            | number::MISC_FEATURES
            | number::MCG_CAP
            | number::MCG_STATUS
            | number::MC0..=number::MC_LAST
            | number::TSC_AUX
            | number::SYSCFG
            | number::HWCR
            | number::DE_CFG => 0,
            _ => return None,
        })
    }

    /// `wrmsr`. False: there is no such register, or not with this value.
    pub(crate) fn write_msr(&mut self) -> bool {
        let [low, high] = [register::RAX, register::RDX].map(|number| self.vcpu.general[number] & 0xffff_ffff);
        let value = high << 32 | low;
        let which = self.vcpu.general[register::RCX] as u32;
        if matches!(which, number::FS_BASE | number::GS_BASE | number::KERNEL_GS_BASE) {
            if !is_canonical(value) {
                return false;
            }
            match which {
                number::FS_BASE => set_fs_base(value),
                number::GS_BASE => self.vcpu.set_kernel_gs(value),
                _ => self.vcpu.set_user_gs(value),
            }
            return true;
        }
        // What can be read can be written, without effect.
        self.msr().is_some()
    }
}
