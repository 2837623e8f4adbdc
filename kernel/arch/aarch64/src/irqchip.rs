// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The interrupt controller: GICv2 (IHI 0048) or GICv3 (IHI 0069), as the plan says and the device
//! tree confirms; one security state or the non-secure one.
//!
//! ```text
//!              distributor (shared)         CPU interface (per core)    virtual interface (per core)
//!   GICv3      GICD + GICR, memory          ICC_* registers             ICH_* registers (`gicv3`)
//!   GICv2      GICD, memory                 GICC, memory                GICH, memory
//! ```
//! EOImode is 0: one write ends an interrupt, since no physical line is ever ended by a guest
//! (the virtual interrupts that a shim asks for are not tied to hardware).

use crate::core_block::CORES_MAX;
use crate::gicv3;
use crate::mmio::Mmio;
use crate::registers::{IccEoir1, IccIar1, IccSgi1r, dsb_ishst, isb};
use crate::timer::{GUEST_TIMER_LINE, TIMER_LINE};
use crate::virtual_interrupt::Virtual;
use aarch64_cpu::registers::{ICH_HCR_EL2, MPIDR_EL1, Readable, Writeable};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The interrupt by which cores ask each other to look.
pub(crate) const KICK: u32 = 0;
/// The maintenance interrupt of the virtual interface (Arm BSA, PPI assignments).
pub(crate) const MAINTENANCE: u32 = 25;
/// The first line of devices.
pub(crate) const FIRST_LINE: u32 = 32;
/// From here on INTIDs mean "nothing" (1020–1023).
pub(crate) const SPECIAL: u32 = 1020;

/// The per-core interrupts that the kernel takes.
const LOCAL_LINES: u32 = 1 << KICK | 1 << MAINTENANCE | 1 << TIMER_LINE | 1 << GUEST_TIMER_LINE;
/// The priority of every line of a device; smaller is more urgent.
const LINE_PRIORITY: u8 = 0x80;
/// What the CPU interface lets through: all that is more urgent than this.
pub(crate) const PRIORITY_MASK: u8 = 0xf0;

/// The priority of one of the 32 per-core interrupts. The schedule timer goes before all others.
const fn local_priority(line: u32) -> u8 {
    match line {
        TIMER_LINE => 0x10,
        KICK => 0x40,
        _ => LINE_PRIORITY,
    }
}

// The distributor (IHI 0069 §12.9; IHI 0048 §4.3). A redistributor's second page has the registers
// of the first 32 lines at the same offsets.
const GICD_CTLR: usize = 0x0;
const GICD_TYPER: usize = 0x4;
const GICD_IGROUPR: usize = 0x80;
const GICD_ISENABLER: usize = 0x100;
const GICD_ICENABLER: usize = 0x180;
const GICD_ICPENDR: usize = 0x280;
const GICD_ICACTIVER: usize = 0x380;
const GICD_IPRIORITYR: usize = 0x400;
/// GICv2: which cores a line interrupts, one byte each.
const GICD_ITARGETSR: usize = 0x800;
const GICD_ICFGR: usize = 0xc00;
/// GICv2: software-generated interrupts.
const GICD_SGIR: usize = 0xf00;
/// GICv3: which core a line interrupts, eight bytes each.
const GICD_IROUTER: usize = 0x6000;
/// GICD_CTLR of a GICv3: ARE_NS and EnableGrp1NS (or, with one security state, ARE and EnableGrp1).
const ROUTED_GROUP_1: u32 = 1 << 4 | 1 << 1;
/// GICD_CTLR of a GICv2: enable.
const ENABLE: u32 = 1;
/// GICD_CTLR.RWP: a write is still on its way. A GICv2 has none and reads as 0.
const WRITE_PENDING: u32 = 1 << 31;

// GICv2's CPU interface (§4.4) and virtual interface (§5.3).
const GICC_CTLR: usize = 0x0;
const GICC_PMR: usize = 0x4;
const GICC_BPR: usize = 0x8;
const GICC_IAR: usize = 0xc;
const GICC_EOIR: usize = 0x10;
const GICH_HCR: usize = 0x0;
const GICH_VTR: usize = 0x4;
const GICH_VMCR: usize = 0x8;
const GICH_APR: usize = 0xf0;
const GICH_LR: usize = 0x100;

/// The word that kicks each core (ICC_SGI1R_EL1 or GICD_SGIR), known when that core is up.
static KICKS: [AtomicU64; CORES_MAX] = [const { AtomicU64::new(0) }; CORES_MAX];

/// An interrupt controller, as one core sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IrqChip {
    /// Whether it is a GICv2.
    pub(crate) v2: bool,
    /// How many list registers there are.
    pub(crate) lists: usize,
    /// This core, as a line is routed to it: for GICD_IROUTER or GICD_ITARGETSR.
    route: u64,
    distributor: Mmio,
    /// GICv3: the redistributors; GICv2: GICC.
    cpu: Mmio,
    /// GICv2: GICH.
    hyp: Mmio,
}

impl IrqChip {
    /// Names the controller: GICD, GICR or GICC, GICH (GICv2).
    pub(crate) fn new(v2: bool, [distributor, cpu, hyp]: [Mmio; 3]) -> IrqChip {
        IrqChip { v2, lists: 0, route: 0, distributor, cpu, hyp }
    }

    /// Initialises the distributor: everything masked. Once, on the boot core.
    pub(crate) fn init_distributor(&self) {
        let gicd = self.distributor;
        gicd.write(GICD_CTLR, 0_u32);
        gicd.settle(GICD_CTLR, WRITE_PENDING);
        let blocks = gicd.read::<u32>(GICD_TYPER) as usize & 0x1f;
        for block in 1..=blocks.min(31) {
            self.clear(gicd, block);
            for word in block * 8..block * 8 + 8 {
                gicd.write(GICD_IPRIORITYR + word * 4, u32::from_ne_bytes([LINE_PRIORITY; 4]));
            }
        }
        gicd.write(GICD_CTLR, if self.v2 { ENABLE } else { ROUTED_GROUP_1 });
        gicd.settle(GICD_CTLR, WRITE_PENDING);
    }

    /// Masks 32 lines, forgets what was pending or active; a GICv3's go into group 1.
    fn clear(&self, registers: Mmio, block: usize) {
        registers.write(GICD_ICENABLER + block * 4, u32::MAX);
        registers.write(GICD_ICPENDR + block * 4, u32::MAX);
        registers.write(GICD_ICACTIVER + block * 4, u32::MAX);
        if !self.v2 {
            registers.write(GICD_IGROUPR + block * 4, u32::MAX);
        }
    }

    /// Initialises the part of core `core`, this one. False: there is none for it.
    pub(crate) fn init_core(&mut self, core: usize) -> bool {
        let Some(kick) = KICKS.get(core) else { return false };
        let local = if self.v2 {
            // The targets of the first lines read as this core's own bit.
            self.route = u64::from(self.distributor.read::<u8>(GICD_ITARGETSR));
            kick.store(self.route << 16, Relaxed);
            self.distributor
        } else {
            self.route = MPIDR_EL1.get() & gicv3::AFFINITY;
            kick.store(gicv3::kick_word(self.route), Relaxed);
            let Some(local) = gicv3::wake(self.cpu, self.route) else { return false };
            local
        };
        self.clear(local, 0);
        for line in 0..32 {
            local.write(GICD_IPRIORITYR + line as usize, local_priority(line));
        }
        local.write(GICD_ISENABLER, LOCAL_LINES);
        if self.v2 {
            self.cpu.write(GICC_PMR, u32::from(PRIORITY_MASK));
            self.cpu.write(GICC_BPR, 0_u32);
            self.cpu.write(GICC_CTLR, ENABLE);
            self.lists = (self.hyp.read::<u32>(GICH_VTR) as usize & 0x3f) + 1;
        } else {
            self.lists = gicv3::init_cpu();
        }
        // What a reset or a loader leaves in the virtual interface is unknown.
        self.virtual_enable(false);
        for index in 0..self.lists {
            self.set_list(index, 0);
        }
        true
    }

    /// Tells the distributor how a device's line behaves.
    pub(crate) fn configure(&self, line: u32, edge: bool) {
        let register = GICD_ICFGR + line as usize / 16 * 4;
        let bit = 2_u32 << (line % 16 * 2);
        let old: u32 = self.distributor.read(register);
        self.distributor.write(register, if edge { old | bit } else { old & !bit });
    }

    /// Takes the most urgent pending interrupt: its number, and the word that ends it.
    pub(crate) fn acknowledge(&self) -> (u32, u32) {
        let word = if self.v2 { self.cpu.read(GICC_IAR) } else { IccIar1.get() as u32 };
        // Above the number a GICv2 says who sent an SGI; LPIs, which are longer, are off.
        (word & 0x3ff, word)
    }

    /// Ends an interrupt.
    pub(crate) fn end(&self, word: u32) {
        if self.v2 {
            self.cpu.write(GICC_EOIR, word);
        } else {
            IccEoir1.set(u64::from(word));
        }
    }

    /// Masks a line.
    pub(crate) fn mask(&self, line: u32) {
        self.distributor.write(GICD_ICENABLER + line as usize / 32 * 4, 1_u32 << (line % 32));
    }

    /// Unmasks a line, and routes it to this core.
    pub(crate) fn unmask(&self, line: u32) {
        if self.v2 {
            self.distributor.write(GICD_ITARGETSR + line as usize, self.route as u8);
        } else {
            self.distributor.write(GICD_IROUTER + line as usize * 8, self.route);
        }
        self.distributor.write(GICD_ISENABLER + line as usize / 32 * 4, 1_u32 << (line % 32));
    }

    /// Interrupts another core.
    pub(crate) fn kick(&self, core: u32) {
        let word = KICKS.get(core as usize).map_or(0, |word| word.load(Relaxed));
        dsb_ishst();
        if self.v2 {
            self.distributor.write(GICD_SGIR, word as u32);
        } else {
            IccSgi1r.set(word);
            isb();
        }
    }

    /// Switches the virtual interface on or off.
    pub(crate) fn virtual_enable(&self, on: bool) {
        if self.v2 {
            self.hyp.write(GICH_HCR, u32::from(on));
        } else {
            ICH_HCR_EL2.set(u64::from(on));
        }
    }

    /// Writes a list register, in the layout of this version.
    pub(crate) fn set_list(&self, index: usize, value: u64) {
        if self.v2 {
            self.hyp.write(GICH_LR + index * 4, value as u32);
        } else {
            gicv3::set_list(index, value);
        }
    }

    /// Reads a list register.
    pub(crate) fn list(&self, index: usize) -> u64 {
        if self.v2 { u64::from(self.hyp.read::<u32>(GICH_LR + index * 4)) } else { gicv3::list(index) }
    }

    /// Saves the state of the virtual CPU interface, without the list registers.
    pub(crate) fn save_virtual(&self, state: &mut Virtual) {
        if self.v2 {
            state.control = u64::from(self.hyp.read::<u32>(GICH_VMCR));
            state.active = [u64::from(self.hyp.read::<u32>(GICH_APR)), 0];
        } else {
            gicv3::save_virtual(state);
        }
    }

    /// Loads the state of the virtual CPU interface.
    pub(crate) fn load_virtual(&self, state: &Virtual) {
        if self.v2 {
            self.hyp.write(GICH_VMCR, state.control as u32);
            self.hyp.write(GICH_APR, state.active[0] as u32);
        } else {
            gicv3::load_virtual(state);
        }
    }
}
