// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Debug registers of guests: single steps, breakpoints, watchpoints (Arm ARM D2).
//!
//! ```text
//!   guest ── msr ──► shim ──► vCPU page ── at each entry, if not zero ──► registers
//!                                          at each exit: MDSCR_EL1 = 0
//! ```
//! All accesses exit to the shim, so what the registers hold is in the page, and nothing has to be
//! saved. Without MDSCR_EL1 the others do nothing, and nobody can read them: they stay behind for
//! the next one that uses them, who loads all of them. What a guest writes there reaches EL1 and
//! EL0 only: the debug exceptions are routed to EL1 (MDCR_EL2.TDE = 0), and never come from above.

use crate::registers::assembly;
use aarch64_cpu::registers::{ID_AA64DFR0_EL1, MDSCR_EL1, Readable, Writeable};

/// MDSCR_EL1.MDE: break- and watchpoints.
const MDE: u64 = 1 << 15;
/// Bits of MDSCR_EL1 that a guest can have: SS, KDE, MDE.
pub(crate) const CONTROL: u64 = 1 | 1 << 13 | MDE;

/// Loads pairs of registers, value and control, of the given numbers, as far as there are so many.
macro_rules! load_points {
    ($word:ident, $count:expr, $value:literal $control:literal: $($n:literal)+) => { $(
        if $n < $count {
            let index = $n * 4 + $value - 4;
            // SAFETY: the register exists; what it does below EL2 is the guest's business.
            unsafe {
                assembly!(
                    concat!("msr S2_0_C0_C", $n, "_", $value, ", {}\n msr S2_0_C0_C", $n, "_", $control, ", {}"),
                    in(reg) $word(index),
                    in(reg) $word(index + 1)
                );
            }
        }
    )+ };
}

/// Loads MDSCR_EL1 and, if it has MDE, the others. `word`: what is at an index in
/// [`parzelle_abi::aarch64::Guest::debug`].
#[cold]
pub(crate) fn load(control: u64, word: impl Fn(usize) -> u64) {
    if control & MDE != 0 {
        let features = ID_AA64DFR0_EL1.get();
        load_points!(word, 1 + (features >> 12 & 0xf), 4 5: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        load_points!(word, 1 + (features >> 20 & 0xf), 6 7: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    MDSCR_EL1.set(control);
}
