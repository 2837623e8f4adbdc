// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Registers of guests, as tables: those that stay loaded between guest and shim and are switched with
//! the vCPU (`System`, `Keys`), and those that are swapped at each flip (`Flip`).

use crate::registers::{ApdaHi, ApdaLo, ApdbHi, ApdbLo, ApgaHi, ApgaLo, ApiaHi, ApiaLo, ApibHi, ApibLo};
use aarch64_cpu::registers::*;

/// Declares sets of registers: field, register.
macro_rules! switched {
    ($($(#[$doc:meta])* $name:ident { $($field:ident $register:ident,)+ })+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        pub(crate) struct $name { $(pub(crate) $field: u64,)+ }

        impl $name {
            /// All zero, as good as the UNKNOWN of a reset.
            pub(crate) const ZERO: $name = $name { $($field: 0,)+ };

            /// Saves the registers.
            pub(crate) fn save(&mut self) { $(self.$field = $register.get();)+ }

            /// Loads the registers.
            pub(crate) fn load(&self) { $($register.set(self.$field);)+ }
        }
    )+ };
}

switched! {
    /// The registers of EL1 that only a guest uses.
    System {
        ttbr0 TTBR0_EL1, ttbr1 TTBR1_EL1,
        tcr TCR_EL1,
        mair MAIR_EL1, amair AMAIR_EL1,
        vbar VBAR_EL1,
        esr ESR_EL1, far FAR_EL1,
        afsr0 AFSR0_EL1, afsr1 AFSR1_EL1,
        elr ELR_EL1, spsr SPSR_EL1, sp SP_EL1,
        tpidr TPIDR_EL1, tpidrro TPIDRRO_EL0, contextidr CONTEXTIDR_EL1,
        par PAR_EL1, csselr CSSELR_EL1,
        timer_compare CNTV_CVAL_EL0,
    }

    /// Registers that act on EL0 under TGE = 1 as well, so host and guest have their own.
    Flip {
        sctlr SCTLR_EL1, cpacr CPACR_EL1,
        cntkctl CNTKCTL_EL1,
        timer_control CNTV_CTL_EL0,
    }

    /// The keys of pointer authentication, on processors that have them.
    Keys {
        ia_low ApiaLo, ia_high ApiaHi,
        ib_low ApibLo, ib_high ApibHi,
        da_low ApdaLo, da_high ApdaHi,
        db_low ApdbLo, db_high ApdbHi,
        ga_low ApgaLo, ga_high ApgaHi,
    }
}
