// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! System registers that `aarch64-cpu` does not have, and the few instructions that are no register
//! accesses. On the host (where this crate's tests run) reads give 0 and all others do nothing.

/// Assembly on the processor, nothing on the host.
macro_rules! assembly {
    ($($part:tt)+) => {
        #[cfg(target_arch = "aarch64")]
        {
            core::arch::asm!($($part)+, options(nostack))
        }
    };
}
pub(crate) use assembly;

/// Declares registers: name, name for the assembler, what it is.
macro_rules! system_registers {
    ($($(#[$doc:meta])* $name:ident $asm:literal,)+) => { $(
        $(#[$doc])*
        pub(crate) struct $name;

        #[allow(dead_code)]
        impl $name {
            /// Reads the register.
            #[inline(always)]
            pub(crate) fn get(&self) -> u64 {
                #[cfg(not(target_arch = "aarch64"))]
                let value = 0;
                #[cfg(target_arch = "aarch64")]
                let value: u64;
                // SAFETY: reading a system register at EL2; those with effects (ICC_IAR1_EL1) are
                // read where the effect is wanted.
                unsafe { assembly!(concat!("mrs {}, ", $asm), out(reg) value) };
                value
            }

            /// Writes the register.
            pub(crate) fn set(&self, value: u64) {
                // SAFETY: none of these registers changes what the kernel itself may access:
                // they govern lower levels, interrupts and counters.
                unsafe { assembly!(concat!("msr ", $asm, ", {}"), in(reg) value) };
            }
        }
    )+ };
}

#[cfg(feature = "measure")]
pub(crate) use system_registers;

system_registers! {
    /// Interrupt acknowledge, group 1.
    IccIar1 "S3_0_C12_C12_0",
    /// End of interrupt, group 1.
    IccEoir1 "S3_0_C12_C12_1",
    /// Binary point, group 1.
    IccBpr1 "S3_0_C12_C12_3",
    /// Enable of group 1.
    IccIgrpen1 "S3_0_C12_C12_7",
    /// Priority mask.
    IccPmr "S3_0_C4_C6_0",
    /// Generation of SGIs, group 1.
    IccSgi1r "S3_0_C12_C11_5",
    /// Access to the CPU interface at EL1: by registers (SRE), no bypass (DFB, DIB).
    IccSre "S3_0_C12_C12_5",
    /// Compare value of the hypervisor's physical timer.
    CnthpCval "cnthp_cval_el2",
    /// What EL1 reads as MIDR_EL1.
    Vpidr "vpidr_el2",
    /// Traps of AArch32 coprocessor registers.
    Hstr "hstr_el2",
    /// Access of EL0 to the PMU.
    Pmuserenr "pmuserenr_el0",
    /// Access of EL0 to the activity monitors.
    Amuserenr "S3_3_C13_C2_3",
    /// Control of the PMU.
    Pmcr "pmcr_el0",
    /// Control of the CPU interface.
    IccCtlr "S3_0_C12_C12_4",
    /// Keys of pointer authentication, by number: the assembler wants the feature for their names.
    ApiaLo "S3_0_C2_C1_0",
    /// See `ApiaLo`.
    ApiaHi "S3_0_C2_C1_1",
    /// See `ApiaLo`.
    ApibLo "S3_0_C2_C1_2",
    /// See `ApiaLo`.
    ApibHi "S3_0_C2_C1_3",
    /// See `ApiaLo`.
    ApdaLo "S3_0_C2_C2_0",
    /// See `ApiaLo`.
    ApdaHi "S3_0_C2_C2_1",
    /// See `ApiaLo`.
    ApdbLo "S3_0_C2_C2_2",
    /// See `ApiaLo`.
    ApdbHi "S3_0_C2_C2_3",
    /// See `ApiaLo`.
    ApgaLo "S3_0_C2_C3_0",
    /// See `ApiaLo`.
    ApgaHi "S3_0_C2_C3_1",
    /// The cache that `Ccsidr` speaks of.
    Csselr "csselr_el1",
    /// Sets, ways and line of a cache.
    Ccsidr "ccsidr_el1",
    /// Memory features 2 (FEAT_CCIDX), by number: old assemblers don't know it.
    IdAa64Mmfr2 "S3_0_C0_C7_2",
    /// Instruction set features 2 (PAC by QARMA3), by number: old assemblers don't know it.
    IdAa64Isar2 "S3_0_C0_C6_2",
}

/// Declares instructions without operands.
macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident $asm:literal,)+) => { $(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name() {
            // SAFETY: barriers, hints and TLB maintenance change no memory and no rights.
            unsafe { assembly!($asm) };
        }
    )+ };
}

instructions! {
    /// Instruction synchronisation barrier.
    isb "isb",
    /// Completes all stores before the next instruction, for the inner shareable domain.
    dsb_ishst "dsb ishst",
    /// Completes all accesses before the next instruction, system-wide.
    dsb_sy "dsb sy",
    /// Sleeps until an interrupt is pending, masked or not.
    wait_for_interrupt "wfi",
    /// Drops this core's stage-1 and stage-2 entries of the current VMID.
    flush_current_vmid "isb\n tlbi vmalls12e1\n dsb nsh\n isb",
    /// Completes all accesses and drops this core's cached instructions.
    flush_instructions "dsb sy\n ic iallu\n dsb sy\n isb",
    /// Drops this core's entries of EL2 and of all VMIDs, and stale instructions.
    flush_all "dsb ish\n tlbi alle2\n tlbi alle1\n ic iallu\n dsb ish\n isb",
}

/// Sleeps until an interrupt or an SError is pending, masked or not. Takes the SError, if it is one:
/// returns its syndrome, 0 for none.
pub(crate) fn idle() -> u64 {
    let mut syndrome = 0;
    // SAFETY: the vector of SErrors in EL2 (trap.S) writes the syndrome to x0 and returns; what that
    // does to ELR_EL2 and SPSR_EL2, which are those of the vCPU that is still loaded, is undone.
    unsafe {
        assembly!(
            "mrs {pc}, elr_el2\n mrs {state}, spsr_el2",
            "wfi\n msr daifclr, #4\n isb\n msr daifset, #4",
            "msr elr_el2, {pc}\n msr spsr_el2, {state}",
            pc = out(reg) _,
            state = out(reg) _,
            inout("x0") syndrome
        );
    }
    syndrome
}

/// Cleans and invalidates the data caches for a range, to the point of coherency, so that a core
/// without caches sees it.
pub(crate) fn clean_to_memory(address: u64, bytes: u64) {
    for line in (address..address.saturating_add(bytes)).step_by(16) {
        // SAFETY: cleaning a line changes no data; the caller names mapped memory.
        unsafe { assembly!("dc civac, {}", in(reg) line) };
    }
    dsb_sy();
}

/// Writes back and drops this core's first-level data cache, by set and way, and drops its
/// instructions (Arm ARM, CCSIDR_EL1, with and without FEAT_CCIDX). The architecture has no
/// instruction that forgets what branches were predicted from.
pub(crate) fn flush_caches() {
    let kept = Csselr.get();
    Csselr.set(0);
    isb();
    let shape = Ccsidr.get();
    Csselr.set(kept);
    let wide = IdAa64Mmfr2.get() >> 20 & 0xf != 0;
    let (ways, sets) = if wide {
        (shape >> 3 & 0x1f_ffff, shape >> 32 & 0xff_ffff)
    } else {
        (shape >> 3 & 0x3ff, shape >> 13 & 0x7fff)
    };
    let line = (shape & 7) + 4;
    let shift = (ways as u32).leading_zeros() & 31;
    for way in 0..=ways {
        for set in 0..=sets {
            // SAFETY: what is dirty is written back: no data changes.
            unsafe { assembly!("dc cisw, {}", in(reg) way << shift | set << line) };
        }
    }
    flush_instructions();
}

/// Translates an address as a load at EL1 would, with the guest's stage 1; returns PAR_EL1.
pub(crate) fn translate_stage1(address: u64) -> u64 {
    let mut result = address;
    // SAFETY: AT only writes PAR_EL1, which is put back: it may hold a result of the guest's.
    unsafe {
        assembly!(
            "mrs {kept}, par_el1",
            "at s1e1r, {result}",
            "isb",
            "mrs {result}, par_el1",
            "msr par_el1, {kept}",
            kept = out(reg) _,
            result = inout(reg) result
        );
    }
    result
}

/// Calls the firmware (SMC Calling Convention, Arm DEN 0028).
pub(crate) fn secure_monitor_call(function: u64, arguments: [u64; 3]) -> u64 {
    let [first, second, third] = arguments;
    let mut result = function;
    // SAFETY: the device tree says that there is firmware that answers PSCI calls by SMC; it keeps
    // to the convention, which leaves x18–x30 alone: less than a C function does.
    unsafe {
        assembly!(
            "smc #0",
            inout("x0") result,
            in("x1") first,
            in("x2") second,
            in("x3") third,
            clobber_abi("C")
        );
    }
    result
}
