// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! EL1 registers that stay loaded between guest and shim, and are switched with the vCPU.

use crate::registers::{ApdaHi, ApdaLo, ApdbHi, ApdbLo, ApgaHi, ApgaLo, ApiaHi, ApiaLo, ApibHi, ApibLo};
use aarch64_cpu::registers::*;

/// Declares the registers: field, register.
macro_rules! switched {
    ($($field:ident $register:ident,)+) => {
        /// The registers of EL1 that only a guest uses.
        #[derive(Clone, Copy)]
        #[repr(C)]
        pub(crate) struct System { $($field: u64,)+ keys: [u64; 10] }

        impl System {
            /// All zero, as good as the UNKNOWN of a reset.
            pub(crate) const fn zero() -> System {
                System { $($field: 0,)+ keys: [0; 10] }
            }

            fn save_all(&mut self) { $(self.$field = $register.get();)+ }

            fn load_all(&self) { $($register.set(self.$field);)+ }
        }
    };
}

switched! {
    ttbr0 TTBR0_EL1,
    ttbr1 TTBR1_EL1,
    tcr TCR_EL1,
    mair MAIR_EL1,
    amair AMAIR_EL1,
    vbar VBAR_EL1,
    esr ESR_EL1,
    far FAR_EL1,
    afsr0 AFSR0_EL1,
    afsr1 AFSR1_EL1,
    elr ELR_EL1,
    spsr SPSR_EL1,
    sp SP_EL1,
    tpidr TPIDR_EL1,
    contextidr CONTEXTIDR_EL1,
    par PAR_EL1,
    csselr CSSELR_EL1,
    timer_compare CNTV_CVAL_EL0,
}

impl System {
    /// Saves the registers; `pauth`: the processor has keys.
    pub(crate) fn save(&mut self, pauth: bool) {
        self.save_all();
        if pauth {
            self.keys = [
                ApiaLo::get(),
                ApiaHi::get(),
                ApibLo::get(),
                ApibHi::get(),
                ApdaLo::get(),
                ApdaHi::get(),
                ApdbLo::get(),
                ApdbHi::get(),
                ApgaLo::get(),
                ApgaHi::get(),
            ];
        }
    }

    /// Loads the registers.
    pub(crate) fn load(&self, pauth: bool) {
        self.load_all();
        if pauth {
            let [ia, ia_high, ib, ib_high, da, da_high, db, db_high, ga, ga_high] = self.keys;
            ApiaLo::set(ia);
            ApiaHi::set(ia_high);
            ApibLo::set(ib);
            ApibHi::set(ib_high);
            ApdaLo::set(da);
            ApdaHi::set(da_high);
            ApdbLo::set(db);
            ApdbHi::set(db_high);
            ApgaLo::set(ga);
            ApgaHi::set(ga_high);
        }
    }
}
