// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The saved registers of a vCPU: its context page, and a second one for the guest's system
//! registers (see `guest.rs`).
//!
//! ```text
//!   context page (private to the kernel)          registers
//!   ┌────────────────────────────┐
//!   │ frame: x0–x30              │ ◄── at every entry (trap.S)
//!   │        sp pc pstate tls    │ ◄── only when the vCPU is left: while it is current, SP_EL0,
//!   │                            │     ELR_EL2, SPSR_EL2 and TPIDR_EL0 hold them
//!   │ fp: q0–q31 fpsr fpcr       │ ◄── when the vCPU is left, if it has the flag
//!   │ vttbr, flags, page, guest  │     what to load with it
//!   └────────────────────────────┘
//! ```
//! The kernel itself uses none of these registers between entry and exit, and takes no exceptions
//! but fatal ones: so four registers less to move on each call.

use crate::guest::GuestContext;
use aarch64_cpu::registers::{ELR_EL2, Readable, SP_EL0, SPSR_EL2, TPIDR_EL0, Writeable};
use parzelle_abi::aarch64::Frame;

/// The FP/SIMD registers: q0–q31, FPSR, FPCR.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct FpArea([u64; 66]);

/// [`Context::flags`]: the host context may use FP/SIMD.
pub(crate) const FP: u64 = 1 << 0;
/// [`Context::flags`]: there is a guest context.
pub(crate) const GUEST: u64 = 1 << 1;
/// [`Context::flags`]: its VMIDs are shared with others, so entering flushes.
pub(crate) const SHARED_VMID: u64 = 1 << 2;
/// [`Context::flags`]: other vCPUs of the guest are on this core. Each has translations that the
/// guest believes private to a processor, under the VMID that they share.
pub(crate) const SIBLINGS: u64 = 1 << 5;
/// [`Context::flags`]: the guest context is the one to return to.
pub(crate) const IN_GUEST: u64 = 1 << 3;
/// [`Context::flags`]: the FP/SIMD registers, loaded or saved, are the guest's.
pub(crate) const FP_IS_GUESTS: u64 = 1 << 4;

/// Bytes at the start of a context that a new frame may zero: what [`crate::memory::zero`] can.
pub(crate) const FRAME_ROOM: usize = 512;

/// The host context of a vCPU.
#[repr(C)]
pub(crate) struct Context {
    /// Its general registers.
    pub(crate) frame: Frame,
    rest: [u64; (FRAME_ROOM - size_of::<Frame>()) / 8],
    /// Its FP/SIMD registers.
    pub(crate) fp: FpArea,
    /// VTTBR_EL2 of the host space.
    pub(crate) vttbr: u64,
    /// [`FP`] | [`GUEST`] | ….
    pub(crate) flags: u64,
    /// The vCPU page.
    pub(crate) page: u64,
    /// The guest's context, behind this page.
    pub(crate) guest: u64,
}

const _: () = assert!(size_of::<Context>() <= 4096);

/// PSTATE bits that a context in AArch64 keeps: NZCV, TCO, DIT, UAO, PAN, SSBS, BTYPE and DAIF.
/// Nobody has the illegal state, and only guests single step.
const KEPT: u64 = 0xf3c0_1fc0;
/// SPSR.SS: a guest that steps has not done its step yet. Without MDSCR_EL1.SS it means nothing.
const STEP: u64 = 1 << 21;
/// SPSR bits that a context in AArch32 user mode keeps: all but the illegal state and the mode.
const KEPT_32: u64 = 0xffef_ffe0;
/// SPSR.M: AArch32 user mode.
const USER_32: u64 = 0x10;

/// Sanitises the PSTATE of a host context: always EL0 in AArch64. An ERET with anything else would
/// be an illegal return and leave the processor in the kernel, or return into it.
pub(crate) const fn host_pstate(pstate: u64) -> u64 {
    pstate & KEPT
}

/// Sanitises the PSTATE of a guest context: EL0, EL1t or EL1h in AArch64, or user mode in AArch32
/// if this processor has that.
pub(crate) const fn guest_pstate(pstate: u64, has_aarch32: bool) -> u64 {
    if pstate & 0x1f == USER_32 && has_aarch32 {
        return pstate & KEPT_32 | USER_32;
    }
    let mode = pstate & 0x1f;
    pstate & (KEPT | STEP) | if matches!(mode, 4 | 5) { mode } else { 0 }
}

/// Whether the context to return to may use the FP/SIMD registers as they are.
pub(crate) const fn owns_fp(flags: u64) -> bool {
    if flags & IN_GUEST != 0 { flags & FP_IS_GUESTS != 0 } else { flags & (FP | FP_IS_GUESTS) == FP }
}

impl Context {
    /// A context whose registers are all zero.
    pub(crate) fn new(vttbr: u64, flags: u64, page: u64, guest: u64) -> Context {
        Context { frame: Frame::default(), rest: [0; _], fp: FpArea::ZERO, vttbr, flags, page, guest }
    }

    /// Where the vCPU's FP/SIMD registers are kept at present.
    pub(crate) fn fp_area(&mut self) -> &mut FpArea {
        if self.flags & FP_IS_GUESTS == 0 {
            return &mut self.fp;
        }
        let guest = self.guest as *mut GuestContext;
        // SAFETY: as in `guest::parts`: the vCPU's second page, on the core that it runs on; only a
        // guest sets the flag.
        unsafe { &mut (*guest).fp }
    }
}

/// Saves what a frame holds beside x0–x30 from the registers of the context that is left.
pub(crate) fn save_rest(frame: &mut Frame) {
    frame.sp = SP_EL0.get();
    frame.pc = ELR_EL2.get();
    frame.pstate = SPSR_EL2.get();
    frame.tls = TPIDR_EL0.get();
}

/// Loads what a frame holds beside x0–x30. `pstate` is sanitised.
pub(crate) fn load_rest(frame: &Frame, pstate: u64) {
    SP_EL0.set(frame.sp);
    ELR_EL2.set(frame.pc);
    SPSR_EL2.set(pstate);
    TPIDR_EL0.set(frame.tls);
}

impl FpArea {
    /// All registers zero.
    pub(crate) const ZERO: FpArea = FpArea([0; 66]);

    /// Saves the registers here. FP is not trapped at EL2.
    pub(crate) fn save(&mut self) {
        // SAFETY: the routine (trap.S) writes the 528 bytes of the area and nothing else.
        unsafe { parzelle_fp_save(self) };
    }

    /// Loads the registers from here. FP is not trapped at EL2.
    pub(crate) fn load(&self) {
        // SAFETY: the routine (trap.S) reads the area; the kernel itself has no use for the
        // registers that it changes.
        unsafe { parzelle_fp_load(self) };
    }
}

unsafe extern "C" {
    fn parzelle_fp_save(area: *mut FpArea);
    fn parzelle_fp_load(area: *const FpArea);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn the_assembly_knows_the_layout() {
        assert_eq!(offset_of!(Context, frame), 0);
        assert_eq!(offset_of!(Frame, x), 0);
        assert_eq!(offset_of!(Context, fp) % 16, 0);
    }

    /// Modes that may leave EL2: everything else is an illegal return, or a return into the kernel.
    #[test]
    fn no_pstate_returns_to_the_kernel() {
        for low in 0..0x400u64 {
            for high in [0, 0xffff_ffff_ffff_f000, 0x0030_0000] {
                let dirty = high | low;
                assert_eq!(host_pstate(dirty) & 0x3f, 0, "EL0t");
                let guest = guest_pstate(dirty, false);
                assert!([0, 4, 5].contains(&(guest & 0x3f)), "{dirty:#x}");
                let guest = guest_pstate(dirty, true);
                assert!([0, 4, 5, 0x10].contains(&(guest & 0x1f)), "{dirty:#x}");
                assert_eq!(host_pstate(dirty) & STEP, 0, "no single step");
                for clean in [host_pstate(dirty), guest] {
                    assert_eq!(clean & 0x10_0000, 0, "no illegal state");
                    assert_eq!(clean >> 32, 0);
                }
            }
        }
    }

    #[test]
    fn what_a_context_owns_is_kept() {
        assert_eq!(host_pstate(0xf000_0000), 0xf000_0000, "NZCV");
        assert_eq!(guest_pstate(0x6000_03c5, false), 0x6000_03c5, "flags, DAIF, EL1h");
        assert_eq!(guest_pstate(0x6000_0030, true), 0x6000_0030, "Thumb");
    }
}
