// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What only a GICv3 (IHI 0069) has: redistributors, and interfaces that are system registers.
//! Affinity routing is on.

use crate::irqchip::PRIORITY_MASK;
use crate::mmio::Mmio;
use crate::registers::{IccBpr1, IccCtlr, IccIgrpen1, IccPmr, IccSre, isb};
use crate::virtual_interrupt::Virtual;
use aarch64_cpu::registers::*;

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

/// The affinity fields of an MPIDR.
pub(crate) const AFFINITY: u64 = 0xff_00ff_ffff;

/// Wakes the redistributor with this affinity; returns its page of SGIs and PPIs.
pub(crate) fn wake(redistributors: Mmio, affinity: u64) -> Option<Mmio> {
    let wanted = affinity & 0xff_ffff | (affinity >> 32 & 0xff) << 24;
    let mut frame = redistributors;
    loop {
        let kind: u64 = frame.read(GICR_TYPER);
        if kind >> 32 == wanted {
            break;
        }
        if kind & LAST != 0 {
            return None;
        }
        frame = frame.at(if kind & VLPIS != 0 { 2 * STRIDE } else { STRIDE });
    }
    frame.write(GICR_WAKER, frame.read::<u32>(GICR_WAKER) & !SLEEP);
    frame.settle(GICR_WAKER, ASLEEP);
    Some(frame.at(SGI_PAGE))
}

/// Initialises this core's interfaces; returns how many list registers there are.
pub(crate) fn init_cpu() -> usize {
    // System registers instead of memory, for EL1 too; no bypass.
    ICC_SRE_EL2.set(0xf);
    isb();
    IccPmr.set(u64::from(PRIORITY_MASK));
    IccBpr1.set(0);
    IccCtlr.set(0);
    IccIgrpen1.set(1);
    isb();
    let lists = (ICH_VTR_EL2.get() as usize & 0x1f) + 1;
    clear_rest(lists);
    lists
}

/// Gives the list registers, which are no array, an index: the first few are used by guests, and
/// reached without a jump table; the others are only emptied.
macro_rules! list_registers {
    ($($index:literal $register:ident)+; $($rest:literal $other:ident)+) => {
        /// Writes a list register that guests use.
        pub(crate) fn set_list(index: usize, value: u64) {
            match index {
                $($index => $register.set(value),)+
                _ => {}
            }
        }

        /// Reads a list register that guests use.
        pub(crate) fn list(index: usize) -> u64 {
            match index {
                $($index => $register.get(),)+
                _ => 0,
            }
        }

        /// Empties the list registers that no guest uses.
        fn clear_rest(count: usize) {
            $(if count > $rest { $other.set(0); })+
        }
    };
}

list_registers! {
    0 ICH_LR0_EL2 1 ICH_LR1_EL2 2 ICH_LR2_EL2 3 ICH_LR3_EL2;
    4 ICH_LR4_EL2 5 ICH_LR5_EL2 6 ICH_LR6_EL2 7 ICH_LR7_EL2
    8 ICH_LR8_EL2 9 ICH_LR9_EL2 10 ICH_LR10_EL2 11 ICH_LR11_EL2
    12 ICH_LR12_EL2 13 ICH_LR13_EL2 14 ICH_LR14_EL2 15 ICH_LR15_EL2
}

/// Saves the state of the virtual CPU interface, without the list registers.
pub(crate) fn save_virtual(state: &mut Virtual) {
    state.control = ICH_VMCR_EL2.get();
    state.active = [ICH_AP0R0_EL2.get(), ICH_AP1R0_EL2.get()];
}

/// Loads the state of the virtual CPU interface.
pub(crate) fn load_virtual(state: &Virtual) {
    // The guest before may have left system registers, where the controller lets it.
    IccSre.set(7);
    ICH_VMCR_EL2.set(state.control);
    let [group0, group1] = state.active;
    ICH_AP0R0_EL2.set(group0);
    ICH_AP1R0_EL2.set(group1);
}

/// ICC_SGI1R_EL1 (§12.2.21) for SGI 0 to one core.
pub(crate) fn kick_word(mpidr: u64) -> u64 {
    let [aff0, aff1, aff2, aff3] = [0, 8, 16, 32].map(|shift| mpidr >> shift & 0xff);
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
