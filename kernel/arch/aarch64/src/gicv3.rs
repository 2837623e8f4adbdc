// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! GICv3 (IHI 0069), one security state or the non-secure one, affinity routing on.

use crate::irqchip::{LOCAL_LINES, local_priority, priority};
use crate::mmio::Mmio;
use crate::registers::{IccBpr1, IccCtlr, IccEoir1, IccIar1, IccIgrpen1, IccPmr, IccSgi1r, IccSre, dsb_ishst, isb};
use crate::virtual_interrupt::Virtual;
use aarch64_cpu::registers::{
    ICC_SRE_EL2, ICH_AP0R0_EL2, ICH_AP1R0_EL2, ICH_HCR_EL2, ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2,
    ICH_LR4_EL2, ICH_LR5_EL2, ICH_LR6_EL2, ICH_LR7_EL2, ICH_LR8_EL2, ICH_LR9_EL2, ICH_LR10_EL2, ICH_LR11_EL2,
    ICH_LR12_EL2, ICH_LR13_EL2, ICH_LR14_EL2, ICH_LR15_EL2, ICH_VMCR_EL2, ICH_VTR_EL2, MPIDR_EL1,
};
use tock_registers::interfaces::{Readable, Writeable};

// The distributor, §12.9; a redistributor's second page has the first 32 lines at the same offsets.
const GICD_CTLR: usize = 0x0;
const GICD_TYPER: usize = 0x4;
const GICD_IGROUPR: usize = 0x80;
const GICD_ISENABLER: usize = 0x100;
const GICD_ICENABLER: usize = 0x180;
const GICD_ICPENDR: usize = 0x280;
const GICD_ICACTIVER: usize = 0x380;
const GICD_IPRIORITYR: usize = 0x400;
const GICD_ICFGR: usize = 0xc00;
const GICD_IROUTER: usize = 0x6000;
/// GICD_CTLR: ARE_NS and EnableGrp1NS (or, with one security state, ARE and EnableGrp1).
const ROUTED_GROUP_1: u32 = 1 << 4 | 1 << 1;
/// GICD_CTLR.RWP: a write is still on its way.
const WRITE_PENDING: u32 = 1 << 31;

// A redistributor, §12.11.
const GICR_TYPER: usize = 0x8;
const GICR_WAKER: usize = 0x14;
/// GICR_WAKER.ProcessorSleep, .ChildrenAsleep.
const SLEEP: u32 = 1 << 1;
const ASLEEP: u32 = 1 << 2;
/// GICR_TYPER.Last, .VLPIS.
const LAST: u64 = 1 << 4;
const VLPIS: u64 = 1 << 1;
/// The page of the SGIs and PPIs, and the distance to the next redistributor.
const SGI_PAGE: usize = 0x1_0000;
const STRIDE: usize = 0x2_0000;

/// How often a register is polled before it is taken as it is.
const PATIENCE: u32 = 1_000_000;

/// The affinity fields of an MPIDR.
pub(crate) const AFFINITY: u64 = 0xff_00ff_ffff;

/// A GICv3, as one core sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gicv3 {
    distributor: Mmio,
    redistributors: Mmio,
    /// This core, as GICD_IROUTER wants it.
    affinity: u64,
    lists: usize,
}

impl Gicv3 {
    /// Names the controller.
    pub(crate) fn new(distributor: Mmio, redistributors: Mmio) -> Gicv3 {
        Gicv3 { distributor, redistributors, affinity: 0, lists: 0 }
    }

    pub(crate) fn init_distributor(&self) {
        let gicd = self.distributor;
        gicd.write(GICD_CTLR, 0);
        self.settle();
        let blocks = gicd.read(GICD_TYPER) as usize & 0x1f;
        for block in 1..=blocks.min(31) {
            clear(gicd, block);
            for word in block * 8..block * 8 + 8 {
                gicd.write(GICD_IPRIORITYR + word * 4, u32::from_ne_bytes([priority::LINE; 4]));
            }
        }
        gicd.write(GICD_CTLR, ROUTED_GROUP_1);
        self.settle();
    }

    fn settle(&self) {
        for _ in 0..PATIENCE {
            if self.distributor.read(GICD_CTLR) & WRITE_PENDING == 0 {
                return;
            }
        }
    }

    /// This core's redistributor: the one with its affinity.
    fn redistributor(&self) -> Option<Mmio> {
        let wanted = self.affinity & 0xff_ffff | (self.affinity >> 32 & 0xff) << 24;
        let mut frame = self.redistributors;
        loop {
            let kind = frame.read_long(GICR_TYPER);
            if kind >> 32 == wanted {
                return Some(frame);
            }
            if kind & LAST != 0 {
                return None;
            }
            frame = frame.at(if kind & VLPIS != 0 { 2 * STRIDE } else { STRIDE });
        }
    }

    pub(crate) fn init_core(&mut self) -> bool {
        self.affinity = MPIDR_EL1.get() & AFFINITY;
        let Some(redistributor) = self.redistributor() else { return false };
        redistributor.write(GICR_WAKER, redistributor.read(GICR_WAKER) & !SLEEP);
        for _ in 0..PATIENCE {
            if redistributor.read(GICR_WAKER) & ASLEEP == 0 {
                break;
            }
        }
        let local = redistributor.at(SGI_PAGE);
        clear(local, 0);
        for line in 0..32 {
            local.write_byte(GICD_IPRIORITYR + line as usize, local_priority(line));
        }
        local.write(GICD_ISENABLER, LOCAL_LINES);
        // System registers instead of memory, for EL1 too; no bypass.
        ICC_SRE_EL2.set(0xf);
        isb();
        IccPmr::set(u64::from(priority::MASK));
        IccBpr1::set(0);
        IccCtlr::set(0);
        IccIgrpen1::set(1);
        ICH_HCR_EL2.set(0);
        isb();
        self.lists = (ICH_VTR_EL2.get() as usize & 0x1f) + 1;
        clear_lists(self.lists);
        true
    }

    pub(crate) fn configure(&self, line: u32, edge: bool) {
        let register = GICD_ICFGR + line as usize / 16 * 4;
        let bit = 2 << (line % 16 * 2);
        let old = self.distributor.read(register);
        self.distributor.write(register, if edge { old | bit } else { old & !bit });
    }

    #[inline(always)]
    pub(crate) fn acknowledge(&self) -> (u32, u32) {
        let word = IccIar1::get() as u32;
        (word, word)
    }

    #[inline(always)]
    pub(crate) fn end(&self, word: u32) {
        IccEoir1::set(u64::from(word));
    }

    #[inline(always)]
    pub(crate) fn mask(&self, line: u32) {
        self.distributor.write(GICD_ICENABLER + line as usize / 32 * 4, 1 << (line % 32));
    }

    #[inline(always)]
    pub(crate) fn unmask(&self, line: u32) {
        self.distributor.write_long(GICD_IROUTER + line as usize * 8, self.affinity);
        self.distributor.write(GICD_ISENABLER + line as usize / 32 * 4, 1 << (line % 32));
    }

    #[inline(always)]
    pub(crate) fn kick(&self, _core: u32, mpidr: u64) {
        dsb_ishst();
        IccSgi1r::set(kick_word(mpidr));
        isb();
    }

    #[inline(always)]
    pub(crate) fn virtual_enable(&self, on: bool) {
        ICH_HCR_EL2.set(u64::from(on));
    }

    #[inline(always)]
    pub(crate) fn lists(&self) -> usize {
        self.lists
    }

    #[inline(always)]
    pub(crate) fn set_list(&self, index: usize, value: u64) {
        match index {
            0 => ICH_LR0_EL2.set(value),
            1 => ICH_LR1_EL2.set(value),
            2 => ICH_LR2_EL2.set(value),
            _ => ICH_LR3_EL2.set(value),
        }
    }

    #[inline(always)]
    pub(crate) fn list(&self, index: usize) -> u64 {
        match index {
            0 => ICH_LR0_EL2.get(),
            1 => ICH_LR1_EL2.get(),
            2 => ICH_LR2_EL2.get(),
            _ => ICH_LR3_EL2.get(),
        }
    }

    pub(crate) fn save_virtual(&self, state: &mut Virtual) {
        state.control = ICH_VMCR_EL2.get();
        state.active = [ICH_AP0R0_EL2.get(), ICH_AP1R0_EL2.get()];
    }

    pub(crate) fn load_virtual(&self, state: &Virtual) {
        // The guest before may have left system registers, where the controller lets it.
        IccSre::set(7);
        ICH_VMCR_EL2.set(state.control);
        let [group0, group1] = state.active;
        ICH_AP0R0_EL2.set(group0);
        ICH_AP1R0_EL2.set(group1);
    }
}

/// Empties all list registers that there are: what a reset or a loader leaves in them is unknown.
fn clear_lists(count: usize) {
    macro_rules! clear {
        ($($index:literal $register:ident)+) => { $(if count > $index { $register.set(0); })+ };
    }
    clear!(
        0 ICH_LR0_EL2 1 ICH_LR1_EL2 2 ICH_LR2_EL2 3 ICH_LR3_EL2
        4 ICH_LR4_EL2 5 ICH_LR5_EL2 6 ICH_LR6_EL2 7 ICH_LR7_EL2
        8 ICH_LR8_EL2 9 ICH_LR9_EL2 10 ICH_LR10_EL2 11 ICH_LR11_EL2
        12 ICH_LR12_EL2 13 ICH_LR13_EL2 14 ICH_LR14_EL2 15 ICH_LR15_EL2
    );
}

/// Masks 32 lines, forgets what was pending or active, and puts them into group 1.
fn clear(registers: Mmio, block: usize) {
    registers.write(GICD_ICENABLER + block * 4, u32::MAX);
    registers.write(GICD_ICPENDR + block * 4, u32::MAX);
    registers.write(GICD_ICACTIVER + block * 4, u32::MAX);
    registers.write(GICD_IGROUPR + block * 4, u32::MAX);
}

/// ICC_SGI1R_EL1 (§12.2.21) for SGI 0 to one core.
const fn kick_word(mpidr: u64) -> u64 {
    let [aff0, aff1, aff2] = [mpidr & 0xff, mpidr >> 8 & 0xff, mpidr >> 16 & 0xff];
    let aff3 = mpidr >> 32 & 0xff;
    aff3 << 48 | (aff0 / 16) << 44 | aff2 << 32 | aff1 << 16 | 1 << (aff0 % 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kicks_name_one_core() {
        assert_eq!(kick_word(0x8000_0000), 1, "core 0");
        assert_eq!(kick_word(0x8000_0003), 8);
        assert_eq!(kick_word(0x8102_0301), 2 << 32 | 3 << 16 | 2);
        assert_eq!(kick_word(0x12), 1 << 44 | 1 << 2, "range selector");
    }
}
