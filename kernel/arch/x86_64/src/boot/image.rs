// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the linker knows: where the parts of the image lie, and what the assembly has.

use crate::layout::{PAGE, physical};
use crate::space::Image;

#[cfg(target_os = "none")]
core::arch::global_asm!(
    include_str!("boot.S"),
    CR0 = const crate::registers::cr0::KERNEL,
    CR4 = const crate::registers::cr4::KERNEL,
    EFER = const crate::registers::msr::EFER,
    EFER_BITS = const crate::registers::efer::LME | crate::registers::efer::NXE | crate::registers::efer::SCE,
    CODE = const crate::descriptors::gdt(0)[1],
    DATA = const crate::descriptors::gdt(0)[2],
    STACK_TOP = const core::mem::offset_of!(crate::percore::PerCore, stack_top),
    TRAMPOLINE = const crate::layout::TRAMPOLINE,
    options(att_syntax)
);

macro_rules! symbols {
    ($($(#[$doc:meta])* $name:ident = $symbol:ident;)+) => {
        /// Addresses (virtual) of symbols; on the host, stand-ins.
        pub(crate) mod symbol {
            #[cfg(target_os = "none")]
            unsafe extern "C" { $(safe static $symbol: u8;)+ }
            $(#[cfg(not(target_os = "none"))] #[allow(non_upper_case_globals)] static $symbol: u8 = 0;)+
            $($(#[$doc])* pub(crate) fn $name() -> u64 { &raw const $symbol as u64 })+
        }
    };
}

symbols! {
    /// Where the image, and its code, begins.
    text = __text_start;
    /// Where constants begin.
    constants = __constants_start;
    /// Where data begins.
    data = __data_start;
    /// The page-aligned end: here begins the plan.
    end = __image_end;
    /// The boot root and what it refers to.
    root = boot_root;
    /// End of these tables.
    tables_end = __boot_tables_end;
    /// Code for other cores.
    trampoline = parzelle_trampoline;
    /// The word in it.
    trampoline_block = parzelle_trampoline_block;
    /// Its end.
    trampoline_end = parzelle_trampoline_end;
    /// Where `syscall` leads.
    entry_call = parzelle_entry_call;
    /// Where a 32-bit `syscall` leads.
    entry_compat = parzelle_entry_compat;
    /// The stubs of all vectors.
    stubs = parzelle_stubs;
}

/// The parts of the image.
pub(crate) fn image() -> Image {
    let [text, constants, data, end] =
        [symbol::text(), symbol::constants(), symbol::data(), symbol::end()].map(physical);
    debug_assert!([text, constants, data, end].iter().all(|at| at % PAGE == 0));
    Image { text: text..constants, constants: constants..data, data: data..end }
}
