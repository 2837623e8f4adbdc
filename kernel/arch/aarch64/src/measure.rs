// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How long the kernel runs with interrupts masked: a kernel with the feature `measure` counts it, none
//! that is shipped has that.

use crate::core_block::Core;
use crate::registers::{Pmcr, assembly, system_registers};

system_registers! {
    /// The cycle counter.
    Pmccntr "pmccntr_el0",
    /// Where the cycle counter counts.
    Pmccfiltr "pmccfiltr_el0",
    /// Enable of counters.
    Pmcntenset "pmcntenset_el0",
}

/// Instructions of entry and exit that lie outside of what is measured.
const REST: u64 = 50;

impl Core {
    /// Lets the cycle counter count at EL2, and begins.
    pub(crate) fn init_measure(&mut self) {
        // E: on; LC: 64 bits.
        Pmcr.set(1 | 1 << 6);
        // NSH: in EL2, too.
        Pmccfiltr.set(1 << 27);
        Pmcntenset.set(1 << 31);
        self.begin_measure();
    }

    /// A stretch begins.
    pub(crate) fn begin_measure(&mut self) {
        self.since = Pmccntr.get();
    }

    /// It ends.
    pub(crate) fn end_measure(&mut self) {
        let length = Pmccntr.get().wrapping_sub(self.since) + REST;
        let machine = &mut self.state.machine;
        machine.longest = machine.longest.max(length);
    }
}
