// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The interrupt controller: GICv2 or GICv3, as the plan says and the device tree confirms.
//!
//! ```text
//!              distributor (shared)         CPU interface (per core)    virtual interface (per core)
//!   GICv3      GICD + GICR, memory          ICC_* registers             ICH_* registers
//!   GICv2      GICD, memory                 GICC, memory                GICH, memory
//! ```
//! EOImode is 0: one write ends an interrupt, since no physical line is ever ended by a guest
//! (the virtual interrupts that a shim asks for are not tied to hardware).

use crate::gicv2::Gicv2;
use crate::gicv3::Gicv3;
use crate::virtual_interrupt::Virtual;

/// The interrupt by which cores ask each other to look.
pub(crate) const KICK: u32 = 0;
/// The maintenance interrupt of the virtual interface (Arm BSA, PPI assignments).
pub(crate) const MAINTENANCE: u32 = 25;
/// The first line of devices.
pub(crate) const FIRST_LINE: u32 = 32;
/// From here on INTIDs mean "nothing" (1020–1023).
pub(crate) const SPECIAL: u32 = 1020;

/// Priorities; smaller is more urgent. The schedule timer goes before all others.
pub(crate) mod priority {
    /// The schedule timer.
    pub(crate) const TIMER: u8 = 0x10;
    /// Kicks between cores.
    pub(crate) const KICK: u8 = 0x40;
    /// Everything else.
    pub(crate) const LINE: u8 = 0x80;
    /// What the CPU interface lets through: all that is more urgent than this.
    pub(crate) const MASK: u8 = 0xf0;
}

/// The per-core interrupts that the kernel takes.
pub(crate) const LOCAL_LINES: u32 =
    1 << KICK | 1 << MAINTENANCE | 1 << crate::timer::TIMER_LINE | 1 << crate::timer::GUEST_TIMER_LINE;

/// The priority of one of the 32 per-core interrupts.
pub(crate) const fn local_priority(line: u32) -> u8 {
    match line {
        KICK => priority::KICK,
        crate::timer::TIMER_LINE => priority::TIMER,
        _ => priority::LINE,
    }
}

/// An interrupt controller, as one core sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IrqChip {
    /// GICv2.
    V2(Gicv2),
    /// GICv3 or v4.
    V3(Gicv3),
}

/// Does the same on either.
macro_rules! either {
    ($self:ident, $chip:ident => $body:expr) => {
        match $self {
            IrqChip::V3($chip) => $body,
            IrqChip::V2($chip) => $body,
        }
    };
}

impl IrqChip {
    /// Initialises the distributor: everything masked. Once, on the boot core.
    pub(crate) fn init_distributor(&self) {
        either!(self, chip => chip.init_distributor());
    }

    /// Initialises this core's part. False: there is none for this core.
    pub(crate) fn init_core(&mut self) -> bool {
        either!(self, chip => chip.init_core())
    }

    /// Tells the distributor how a device's line behaves.
    pub(crate) fn configure(&self, line: u32, edge: bool) {
        either!(self, chip => chip.configure(line, edge));
    }

    /// Takes the most urgent pending interrupt: its number, and the word that ends it.
    #[inline(always)]
    pub(crate) fn acknowledge(&self) -> (u32, u32) {
        either!(self, chip => chip.acknowledge())
    }

    /// Ends an interrupt.
    #[inline(always)]
    pub(crate) fn end(&self, word: u32) {
        either!(self, chip => chip.end(word));
    }

    /// Masks a line.
    #[inline(always)]
    pub(crate) fn mask(&self, line: u32) {
        either!(self, chip => chip.mask(line));
    }

    /// Unmasks a line, and routes it to this core.
    #[inline(always)]
    pub(crate) fn unmask(&self, line: u32) {
        either!(self, chip => chip.unmask(line));
    }

    /// Interrupts another core: its number, and its MPIDR.
    #[inline(always)]
    pub(crate) fn kick(&self, core: u32, mpidr: u64) {
        either!(self, chip => chip.kick(core, mpidr));
    }

    /// Switches the virtual interface on or off.
    #[inline(always)]
    pub(crate) fn virtual_enable(&self, on: bool) {
        either!(self, chip => chip.virtual_enable(on));
    }

    /// Writes a list register, in the layout of this version.
    #[inline(always)]
    pub(crate) fn set_list(&self, index: usize, value: u64) {
        either!(self, chip => chip.set_list(index, value));
    }

    /// Reads a list register.
    #[inline(always)]
    pub(crate) fn list(&self, index: usize) -> u64 {
        either!(self, chip => chip.list(index))
    }

    /// How many list registers there are.
    #[inline(always)]
    pub(crate) fn lists(&self) -> usize {
        either!(self, chip => chip.lists())
    }

    /// Saves the state of the virtual CPU interface, without the list registers.
    pub(crate) fn save_virtual(&self, state: &mut Virtual) {
        either!(self, chip => chip.save_virtual(state));
    }

    /// Loads the state of the virtual CPU interface.
    pub(crate) fn load_virtual(&self, state: &Virtual) {
        either!(self, chip => chip.load_virtual(state));
    }

    /// Whether list registers have the layout of GICv2.
    #[inline(always)]
    pub(crate) fn is_v2(&self) -> bool {
        matches!(self, IrqChip::V2(_))
    }
}
