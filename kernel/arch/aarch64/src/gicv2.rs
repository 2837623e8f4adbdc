// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! GICv2 (IHI 0048) with the virtualisation extensions, one security state or the non-secure one.
//! Everything is memory.

use crate::irqchip::{LOCAL_LINES, local_priority, priority};
use crate::mmio::Mmio;
use crate::registers::dsb_ishst;
use crate::virtual_interrupt::Virtual;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

// The distributor, §4.3.
const GICD_CTLR: usize = 0x0;
const GICD_TYPER: usize = 0x4;
const GICD_ISENABLER: usize = 0x100;
const GICD_ICENABLER: usize = 0x180;
const GICD_ICPENDR: usize = 0x280;
const GICD_ICACTIVER: usize = 0x380;
const GICD_IPRIORITYR: usize = 0x400;
const GICD_ITARGETSR: usize = 0x800;
const GICD_ICFGR: usize = 0xc00;
const GICD_SGIR: usize = 0xf00;

// The CPU interface, §4.4.
const GICC_CTLR: usize = 0x0;
const GICC_PMR: usize = 0x4;
const GICC_BPR: usize = 0x8;
const GICC_IAR: usize = 0xc;
const GICC_EOIR: usize = 0x10;

// The virtual interface, §5.3.
const GICH_HCR: usize = 0x0;
const GICH_VTR: usize = 0x4;
const GICH_VMCR: usize = 0x8;
const GICH_APR: usize = 0xf0;
const GICH_LR: usize = 0x100;

/// This many cores a GICv2 can have.
const CORES: usize = 8;
/// The bit of each core in GICD_ITARGETSR and GICD_SGIR, known when the core is up.
static TARGETS: [AtomicU8; CORES] = [const { AtomicU8::new(0) }; CORES];

/// A GICv2, as one core sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gicv2 {
    distributor: Mmio,
    cpu: Mmio,
    hyp: Mmio,
    core: u32,
    target: u8,
    lists: usize,
}

impl Gicv2 {
    /// Names the controller, for core `core`.
    pub(crate) fn new(distributor: Mmio, cpu: Mmio, hyp: Mmio, core: u32) -> Gicv2 {
        Gicv2 { distributor, cpu, hyp, core, target: 0, lists: 0 }
    }

    pub(crate) fn init_distributor(&self) {
        let gicd = self.distributor;
        gicd.write(GICD_CTLR, 0);
        let blocks = gicd.read(GICD_TYPER) as usize & 0x1f;
        for block in 1..=blocks {
            clear(gicd, block);
            for word in block * 8..block * 8 + 8 {
                gicd.write(GICD_IPRIORITYR + word * 4, u32::from_ne_bytes([priority::LINE; 4]));
            }
        }
        gicd.write(GICD_CTLR, 1);
    }

    pub(crate) fn init_core(&mut self) -> bool {
        let Some(slot) = TARGETS.get(self.core as usize) else { return false };
        // The targets of the first lines read as this core's own bit.
        self.target = self.distributor.read(GICD_ITARGETSR) as u8;
        slot.store(self.target, Relaxed);
        clear(self.distributor, 0);
        for line in 0..32 {
            self.distributor.write_byte(GICD_IPRIORITYR + line as usize, local_priority(line));
        }
        self.distributor.write(GICD_ISENABLER, LOCAL_LINES);
        self.cpu.write(GICC_PMR, u32::from(priority::MASK));
        self.cpu.write(GICC_BPR, 0);
        self.cpu.write(GICC_CTLR, 1);
        self.hyp.write(GICH_HCR, 0);
        self.lists = (self.hyp.read(GICH_VTR) as usize & 0x3f) + 1;
        for index in 0..self.lists {
            self.set_list(index, 0);
        }
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
        let word = self.cpu.read(GICC_IAR);
        (word & 0x3ff, word)
    }

    #[inline(always)]
    pub(crate) fn end(&self, word: u32) {
        self.cpu.write(GICC_EOIR, word);
    }

    #[inline(always)]
    pub(crate) fn mask(&self, line: u32) {
        self.distributor.write(GICD_ICENABLER + line as usize / 32 * 4, 1 << (line % 32));
    }

    #[inline(always)]
    pub(crate) fn unmask(&self, line: u32) {
        self.distributor.write_byte(GICD_ITARGETSR + line as usize, self.target);
        self.distributor.write(GICD_ISENABLER + line as usize / 32 * 4, 1 << (line % 32));
    }

    #[inline(always)]
    pub(crate) fn kick(&self, core: u32, _mpidr: u64) {
        dsb_ishst();
        if let Some(target) = TARGETS.get(core as usize) {
            self.distributor.write(GICD_SGIR, u32::from(target.load(Relaxed)) << 16);
        }
    }

    #[inline(always)]
    pub(crate) fn virtual_enable(&self, on: bool) {
        self.hyp.write(GICH_HCR, u32::from(on));
    }

    #[inline(always)]
    pub(crate) fn lists(&self) -> usize {
        self.lists
    }

    #[inline(always)]
    pub(crate) fn set_list(&self, index: usize, value: u64) {
        self.hyp.write(GICH_LR + index * 4, value as u32);
    }

    #[inline(always)]
    pub(crate) fn list(&self, index: usize) -> u64 {
        u64::from(self.hyp.read(GICH_LR + index * 4))
    }

    pub(crate) fn save_virtual(&self, state: &mut Virtual) {
        state.control = u64::from(self.hyp.read(GICH_VMCR));
        state.active = [u64::from(self.hyp.read(GICH_APR)), 0];
    }

    pub(crate) fn load_virtual(&self, state: &Virtual) {
        self.hyp.write(GICH_VMCR, state.control as u32);
        let [active, _] = state.active;
        self.hyp.write(GICH_APR, active as u32);
    }
}

/// Masks 32 lines and forgets what was pending or active.
fn clear(registers: Mmio, block: usize) {
    registers.write(GICD_ICENABLER + block * 4, u32::MAX);
    registers.write(GICD_ICPENDR + block * 4, u32::MAX);
    registers.write(GICD_ICACTIVER + block * 4, u32::MAX);
}
