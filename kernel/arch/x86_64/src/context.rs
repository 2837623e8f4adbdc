// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The saved registers of a vCPU: the first bytes of its context page.
//!
//! ```text
//!   0    r15 … rax        saved by the entry (trap.S)
//!   120  vector │ error │ rip │ cs │ rflags │ rsp │ ss      pushed by the processor and the stub
//!   176  bases of FS and GS                                 saved at a switch
//!   512  FP and SIMD registers (FXSAVE)                     saved at a switch, with the FP flag
//! ```
//! While a vCPU runs, the task segment's stack for level 0 ends at 176: an interrupt pushes right
//! into the page, and the entry goes on pushing below.

use crate::descriptors::{USER_CODE, USER_DATA};
use crate::registers::sanitised;
use parzelle_abi::x86_64::Frame;

/// [`Context::vector`] of a context that entered by `syscall`: rcx and r11 are lost, and it is
/// left by `sysret`.
pub const SYSCALL: u64 = 0x100;
/// [`Context::vector`] of a context that the kernel has made: it is left by `iret`.
pub const MADE: u64 = 0x101;
/// Bytes of a user half: addresses at or above are not canonical there.
pub const USER_END: u64 = 1 << 47;
/// Where a return to a bad address is sent instead: canonical, and above all that a plan may map
/// (`layout::END` of the interface), so the partition faults there, not the kernel.
const NOWHERE: u64 = 1 << 46;

/// The registers.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Context {
    /// r15.
    pub r15: u64,
    /// r14.
    pub r14: u64,
    /// r13.
    pub r13: u64,
    /// r12.
    pub r12: u64,
    /// r11.
    pub r11: u64,
    /// r10: the fourth argument of a call.
    pub r10: u64,
    /// r9.
    pub r9: u64,
    /// r8: the fifth argument of a call.
    pub r8: u64,
    /// rbp.
    pub rbp: u64,
    /// rdi: the first argument.
    pub rdi: u64,
    /// rsi: the second argument.
    pub rsi: u64,
    /// rdx: the third argument, and a call's value.
    pub rdx: u64,
    /// rcx.
    pub rcx: u64,
    /// rbx.
    pub rbx: u64,
    /// rax: a call's number and status.
    pub rax: u64,
    /// Vector of the exception or interrupt, [`SYSCALL`] or [`MADE`].
    pub vector: u64,
    /// Its error code.
    pub error: u64,
    /// Program counter.
    pub rip: u64,
    /// Code segment: always [`USER_CODE`].
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment: always [`USER_DATA`].
    pub ss: u64,
    /// Base of FS; here only while another vCPU is current.
    pub fs: u64,
    /// Base of GS, likewise.
    pub gs: u64,
}

/// Where the FP registers lie in the page.
pub const FP: u64 = 512;

/// FP registers as after FNINIT and with the reset value of MXCSR (SDM Vol. 1, table 10-2: FCW at
/// 0, MXCSR at 24).
#[repr(C, align(16))]
pub struct FpArea(pub [u8; 512]);

/// The FP registers of a vCPU that starts.
pub static FP_CLEAN: FpArea = {
    let mut area = [0; 512];
    area[0] = 0x7f;
    area[1] = 0x03;
    area[24] = 0x80;
    area[25] = 0x1f;
    FpArea(area)
};

impl Context {
    /// Makes the context of a vCPU that starts.
    pub fn fresh(entry: u64, stack: u64, arguments: [u64; 2]) -> Context {
        Context {
            rdi: arguments[0],
            rsi: arguments[1],
            rip: target(entry),
            rsp: stack,
            rflags: sanitised(0),
            vector: MADE,
            cs: u64::from(USER_CODE),
            ss: u64::from(USER_DATA),
            ..Context::default()
        }
    }

    /// The registers as the partition sees them in its vCPU page.
    pub fn frame(&self, tls: u64, gs: u64) -> Frame {
        // After `syscall` these two hold what the processor leaves in them.
        let (rcx, r11) = if self.vector == SYSCALL { (self.rip, self.rflags) } else { (self.rcx, self.r11) };
        Frame {
            rax: self.rax,
            rbx: self.rbx,
            rcx,
            rdx: self.rdx,
            rsi: self.rsi,
            rdi: self.rdi,
            rbp: self.rbp,
            r: [self.r8, self.r9, self.r10, r11, self.r12, self.r13, self.r14, self.r15],
            sp: self.rsp,
            pc: self.rip,
            flags: self.rflags,
            tls,
            gs,
        }
    }

    /// Takes the registers from a frame that a partition has written: anything may stand there.
    /// The bases are the caller's, see [`base`].
    pub fn set_frame(&mut self, frame: &Frame) {
        let [r8, r9, r10, r11, r12, r13, r14, r15] = frame.r;
        *self = Context {
            r15,
            r14,
            r13,
            r12,
            r11,
            r10,
            r9,
            r8,
            rbp: frame.rbp,
            rdi: frame.rdi,
            rsi: frame.rsi,
            rdx: frame.rdx,
            rcx: frame.rcx,
            rbx: frame.rbx,
            rax: frame.rax,
            vector: MADE,
            error: 0,
            rip: target(frame.pc),
            cs: u64::from(USER_CODE),
            rflags: sanitised(frame.flags),
            rsp: frame.sp,
            ss: u64::from(USER_DATA),
            fs: 0,
            gs: 0,
        };
    }

    /// Enters an upcall handler: stack and program counter, and the first two arguments. The other
    /// registers keep their values; the handler's stack is aligned as after a call.
    pub fn enter(&mut self, entry: u64, stack: u64, arguments: [u64; 2]) {
        self.rdi = arguments[0];
        self.rsi = arguments[1];
        self.rip = target(entry);
        self.rsp = stack;
        self.rflags = sanitised(0);
        self.vector = MADE;
    }
}

/// Where a return to `address` may lead: `iret` with an address that is not canonical would fault
/// in the kernel.
pub const fn target(address: u64) -> u64 {
    if address < USER_END { address } else { NOWHERE }
}

/// A base that may be loaded into FS or GS: one that is not canonical would fault in the kernel.
pub const fn base(asked: u64) -> u64 {
    if asked < USER_END { asked } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::flags;
    use core::mem::{offset_of, size_of};

    #[test]
    fn the_page_is_laid_out_as_the_entry_pushes() {
        assert_eq!(offset_of!(Context, vector), 15 * 8);
        assert_eq!(offset_of!(Context, fs) % 16, 0, "the processor aligns its pushes to 16");
        assert_eq!(offset_of!(Context, fs), 176);
        assert!(size_of::<Context>() as u64 <= FP);
        const { assert!(FP + 512 <= parzelle_abi::PAGE) };
    }

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let mut context = Context::fresh(0x1000, 0x2000, [7, 8]);
        context.r12 = 12;
        context.rflags |= flags::DF;
        let frame = context.frame(0x30, 0x40);
        let mut back = Context::default();
        back.set_frame(&frame);
        assert_eq!(format!("{context:?}"), format!("{back:?}"));
        assert_eq!((frame.tls, frame.gs), (0x30, 0x40));
    }

    #[test]
    fn nothing_hostile_survives() {
        let frame = Frame { pc: u64::MAX, flags: u64::MAX, sp: 1 << 63, ..Frame::default() };
        let mut context = Context::default();
        context.set_frame(&frame);
        assert!(context.rip < USER_END && context.rip >= parzelle_abi::info::layout::END);
        assert_eq!(context.rflags, sanitised(u64::MAX));
        assert_eq!(context.cs, 0x2b);
        assert_eq!(context.ss, 0x23);
        assert_eq!(base(0xffff_8000_0000_0000), 0);
        assert_eq!(base(1 << 47), 0);
        assert_eq!(base(0x7fff_ffff_ffff), 0x7fff_ffff_ffff);
    }
}
