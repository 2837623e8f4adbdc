// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! aarch64: leaf functions, return address in x30.

use core::arch::naked_asm;

use parzelle_rt::arch::Frame;

use super::Probe;

/// Makes the frame that of a return from the probe.
pub fn leave(frame: &mut Frame) {
    frame.pc = frame.x[30];
}

#[unsafe(naked)]
pub(super) unsafe extern "C" fn read(address: u64) -> u64 {
    naked_asm!("ldrb w0, [x0]", "ret")
}

#[unsafe(naked)]
pub(super) unsafe extern "C" fn write(address: u64) -> u64 {
    naked_asm!("strb wzr, [x0]", "ret")
}

#[unsafe(naked)]
pub(super) unsafe extern "C" fn jump(address: u64) -> u64 {
    naked_asm!("br x0")
}

/// Uses an FP register.
///
/// # Safety
/// Only through [`super::run`].
#[unsafe(naked)]
pub unsafe extern "C" fn use_fp(_: u64) -> u64 {
    naked_asm!(".arch_extension fp", "fmov d0, x0", "ret")
}

/// Declares one probe per instruction.
macro_rules! instructions {
    ($list:ident: $($text:literal)*) => {
        /// One probe per instruction, with its text.
        pub const $list: &[(&str, Probe)] = &[$(({
            $text
        }, {
            #[unsafe(naked)]
            unsafe extern "C" fn probe(_: u64) -> u64 {
                naked_asm!(".arch armv8.2-a", $text, "ret")
            }
            probe
        })),*];
    };
}

instructions! { PRIVILEGED:
    "mrs x0, sctlr_el1" "msr sctlr_el1, x0" "mrs x0, ttbr0_el1" "msr ttbr0_el1, x0"
    "msr ttbr1_el1, x0" "mrs x0, tcr_el1" "msr tcr_el1, x0" "msr mair_el1, x0" "msr vbar_el1, x0"
    "mrs x0, esr_el1" "mrs x0, far_el1" "msr elr_el1, x0" "msr spsr_el1, x0" "msr sp_el0, x0"
    "msr tpidr_el1, x0" "msr contextidr_el1, x0" "msr cpacr_el1, x0" "msr cntkctl_el1, x0"
    "mrs x0, hcr_el2" "msr hcr_el2, x0" "mrs x0, vttbr_el2" "msr vttbr_el2, x0" "msr vtcr_el2, x0"
    "msr sctlr_el2, x0" "msr ttbr0_el2, x0" "msr vbar_el2, x0" "msr tpidr_el2, x0"
    "msr cptr_el2, x0" "msr mdcr_el2, x0" "msr cnthctl_el2, x0" "msr cntvoff_el2, x0"
    "mrs x0, cnthp_ctl_el2" "msr cnthp_cval_el2, x0" "msr vmpidr_el2, x0" "msr elr_el2, x0"
    "msr spsr_el2, x0" "msr sp_el1, x0"
    "mrs x0, scr_el3" "msr scr_el3, x0" "msr vbar_el3, x0"
    "mrs x0, midr_el1" "mrs x0, mpidr_el1" "mrs x0, id_aa64pfr0_el1" "mrs x0, id_aa64mmfr0_el1"
    "mrs x0, currentel" "msr spsel, #1" "msr daifset, #15" "msr daifclr, #15" "mrs x0, daif"
    "tlbi vmalle1" "tlbi vmalls12e1" "tlbi alle1" "tlbi alle2" "tlbi vae1, x0" "tlbi ipas2e1, x0"
    "at s1e1r, x0" "at s12e1r, x0" "at s1e2r, x0"
    "ic iallu" "ic ialluis" "dc isw, x0" "dc csw, x0" "dc cisw, x0" "dc ivac, x0"
    "hvc #0" "hvc #0xffff" "smc #0" "eret" "brk #0" "brk #0xffff" "hlt #0" "udf #0"
    "dcps1" "dcps2" "dcps3"
    "mrs x0, mdscr_el1" "msr mdscr_el1, x0" "msr oslar_el1, x0" "msr dbgbvr0_el1, x0"
    "msr dbgbcr0_el1, x0" "msr dbgwvr0_el1, x0" "msr dbgwcr0_el1, x0"
    "mrs x0, pmcr_el0" "msr pmcr_el0, x0" "mrs x0, pmccntr_el0" "msr pmuserenr_el0, x0"
    "msr pmcntenset_el0, x0" "msr pmintenset_el1, x0"
    "mrs x0, cntp_ctl_el0" "msr cntp_ctl_el0, x0" "msr cntp_cval_el0, x0"
    "mrs x0, cntv_ctl_el0" "msr cntv_ctl_el0, x0" "msr cntv_cval_el0, x0" "msr cntv_tval_el0, x0"
    "msr cntfrq_el0, x0"
    "mrs x0, S3_0_C12_C12_0" "msr S3_0_C12_C12_1, x0" "msr S3_0_C4_C6_0, x0"
    "msr S3_0_C12_C11_5, x0" "msr S3_0_C12_C12_7, x0" "msr S3_4_C12_C11_0, x0"
    "msr S3_4_C12_C12_0, x0" "mrs x0, S3_4_C12_C9_5" "mrs x0, S3_1_C15_C0_0"
    "msr S3_1_C15_C0_0, x0"
}

// What a partition may do, or what has no effect: these need not fault.
instructions! { ALLOWED:
    "wfi" "wfe" "sev" "sevl" "yield" "isb" "dsb sy" "dmb sy" "clrex"
    "mrs x0, cntvct_el0" "mrs x0, cntpct_el0" "mrs x0, cntfrq_el0" "mrs x0, ctr_el0"
    "mrs x0, dczid_el0" "mrs x0, tpidr_el0" "msr tpidr_el0, x0" "mrs x0, tpidrro_el0"
    "mrs x0, nzcv" "msr nzcv, x0" "svc #1" "svc #0xffff" "msr tpidrro_el0, x0"
    "mrs x0, fpcr" "dc cvac, x30" "dc civac, x30" "ic ivau, x30"
}
