// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The virtual interrupt controller: a GICv3 with one security state (`GICD_CTLR.DS = 1`), affinity
//! routing, 64 shared interrupts, no LPIs.
//!
//! The guest talks to the processor's own virtual CPU interface (`ICC_*`) without exits; only the
//! distributor, the redistributors and `ICC_SGI1R_EL1` are emulated. Between two runs of a vCPU the
//! whole truth is in here: [`Gic::fold`] takes the list registers back after an exit, [`Gic::fill`]
//! gives out the most urgent interrupts before the next entry.
//!
//! ```text
//!   device line ─▶ line ──┐
//!   SGI, edge   ─▶ latch ─┴▶ pending & enabled & group 1 & routed here ─▶ list register ─▶ guest
//!                    ▲                                                        │
//!                    └──── not taken yet ◀── fold ── taken, not ended ─▶ active
//! ```
//!
//! Everything is delivered as group 1. An interrupt that the guest leaves in group 0 would be an
//! FIQ: this board has none. Registers after the GIC architecture specification (IHI 0069H),
//! chapter 12.

mod bank;
mod list;
mod registers;

pub use list::{ListRegister, State};
pub use registers::Frame;

use crate::map::MAX_VCPUS;
use bank::Bank;

/// Banks of 32 shared interrupts: with two, interrupt numbers end at 96.
const SPI_BANKS: usize = 2;

/// One more than the highest interrupt number.
pub const INTIDS: u32 = 32 * (1 + SPI_BANKS as u32);

/// The interrupts of one vCPU, and its redistributor's own registers.
#[derive(Clone, Debug)]
struct Redistributor {
    /// SGIs (0 to 15) and PPIs (16 to 31).
    bank: Bank,
    /// `GICR_WAKER.ProcessorSleep`, mirrored by `ChildrenAsleep`.
    asleep: bool,
    /// Physical interrupts that the guest deactivated by a register write instead of ending them.
    released: u32,
}

/// 32 shared interrupts and where they go.
#[derive(Clone, Debug)]
struct Shared {
    bank: Bank,
    /// `GICD_IROUTER`, the lower half; the upper (Aff3) is always zero.
    route: [u32; 32],
    /// The vCPU that has the interrupt in a list register, or took it and has not ended it.
    owner: [u8; 32],
}

/// The virtual interrupt controller of one guest.
#[derive(Clone, Debug)]
pub struct Gic {
    vcpus: usize,
    /// `GICD_CTLR.EnableGrp1`: nothing is delivered without it.
    enabled: bool,
    redistributors: [Redistributor; MAX_VCPUS],
    shared: [Shared; SPI_BANKS],
}

impl Gic {
    /// Makes a controller for `vcpus` vCPUs (one to [`MAX_VCPUS`]; what is outside is brought
    /// inside), as after reset.
    #[must_use]
    pub fn new(vcpus: usize) -> Self {
        const ASLEEP: Redistributor = Redistributor { bank: Bank::private(), asleep: true, released: 0 };
        const SHARED: Shared = Shared { bank: Bank::shared(), route: [0; 32], owner: [0; 32] };
        Self {
            vcpus: vcpus.clamp(1, MAX_VCPUS),
            enabled: false,
            redistributors: [ASLEEP; MAX_VCPUS],
            shared: [SHARED; SPI_BANKS],
        }
    }

    /// Sets the level of a shared line (`intid` from 32 on). An edge-triggered interrupt becomes
    /// pending as it rises.
    pub fn set_line(&mut self, intid: u32, high: bool) {
        if let Some(shared) = self.shared_of(intid) {
            shared.bank.set_line(1 << (intid % 32), high);
        }
    }

    /// Sets the level of a private line (`intid` 16 to 31) of `vcpu`.
    pub fn set_private_line(&mut self, vcpu: usize, intid: u32, high: bool) {
        if let (Some(redistributor), 16..=31) = (self.redistributors.get_mut(vcpu), intid) {
            redistributor.bank.set_line(1 << intid, high);
        }
    }

    /// Makes a private interrupt of `vcpu` pending that is physically active: the kernel left it to
    /// the guest to end it, through a list register that names it as `hw`.
    pub fn raise_linked(&mut self, vcpu: usize, intid: u32) {
        if let (Some(redistributor), 16..=31) = (self.redistributors.get_mut(vcpu), intid) {
            redistributor.bank.raise_linked(1 << intid);
        }
    }

    /// Makes a private interrupt of `vcpu` pending once.
    pub fn raise(&mut self, vcpu: usize, intid: u32) {
        if let (Some(redistributor), 0..=31) = (self.redistributors.get_mut(vcpu), intid) {
            redistributor.bank.latch |= 1 << intid;
        }
    }

    /// Performs a write of `ICC_SGI1R_EL1` by `vcpu` (IHI 0069H, 12.2.22). vCPU `n` has the
    /// affinity 0.0.0.n.
    pub fn send_sgi(&mut self, vcpu: usize, value: u64) {
        let intid = value >> 24 & 0xf;
        let to_all_others = value >> 40 & 1 == 1;
        let elsewhere = value & 0x00ff_f0ff_00ff_0000 != 0;
        let targets = match (to_all_others, elsewhere) {
            (true, _) => !(1u64 << (vcpu & 15)),
            (false, true) => 0,
            (false, false) => value & 0xffff,
        };
        for (n, redistributor) in self.redistributors.iter_mut().take(self.vcpus).enumerate() {
            if targets >> n & 1 == 1 {
                redistributor.bank.latch |= 1 << intid;
            }
        }
    }

    /// Takes the physical interrupts that `vcpu` deactivated by writing `ICACTIVER`, as a mask of
    /// private interrupts: no list register will end them, the kernel has to.
    pub fn take_released(&mut self, vcpu: usize) -> u32 {
        self.redistributors.get_mut(vcpu).map_or(0, |redistributor| core::mem::take(&mut redistributor.released))
    }

    fn shared_of(&mut self, intid: u32) -> Option<&mut Shared> {
        self.shared.get_mut((intid as usize / 32).checked_sub(1)?)
    }
}
