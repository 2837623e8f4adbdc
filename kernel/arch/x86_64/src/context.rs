// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The saved registers of a vCPU: the first bytes of its context page.
//!
//! ```text
//!   0    rax … r15        saved by the entry (trap.S)
//!   120  vector │ error │ rip │ cs │ rflags │ rsp │ ss      pushed by the processor and the stub
//!   176  bases of FS and GS                                 saved at a switch
//!   192  `Sides`                                            what else a guest's shim and its guest have
//!   512  FP and SIMD registers (FXSAVE)                     saved at a switch, with the FP flag
//!   4096 a guest's LDT
//! ```
//! While a vCPU runs, the task segment's stack for level 0 ends at 176: an interrupt pushes right
//! into the page, and the entry goes on pushing below.

use crate::descriptors::{USER_CODE, USER_DATA};
use crate::registers::sanitised;
use core::mem::offset_of;
use parzelle_abi::names::layout::END;
use zerocopy::FromBytes;

/// [`Context::vector`] of a context that the kernel has made: it is left by `iret`, as all below
/// [`SYSCALL`].
pub const MADE: u64 = 0xff;
/// [`Context::vector`] of a context that entered by `syscall`: rcx and r11 are lost, and it is
/// left by `sysret`.
pub const SYSCALL: u64 = 0x100;
/// [`Context::vector`] of [`WAITING`], which stands for no context at all.
pub const IDLE: u64 = 0x101;
/// Where a return to a bad address is sent instead: canonical, and above all that a plan may map
/// (`layout::END` of the interface), so the partition faults there, not the kernel.
const NOWHERE: u64 = 1 << 46;
// For `Context::rip`, and for the exit, which tells these apart by one comparison.
const _: () = assert!(END <= NOWHERE && MADE < SYSCALL && SYSCALL < IDLE);

/// The registers. The general ones stand as in the interface's `Frame`, so that they are copied as
/// one block.
#[derive(Clone, Copy, Debug, Default, FromBytes)]
#[repr(C)]
pub struct Context {
    /// rax: a call's number and status.
    pub rax: u64,
    /// rbx.
    pub rbx: u64,
    /// rcx.
    pub rcx: u64,
    /// rdx: the third argument, and a call's value.
    pub rdx: u64,
    /// rsi: the second argument.
    pub rsi: u64,
    /// rdi: the first argument.
    pub rdi: u64,
    /// rbp.
    pub rbp: u64,
    /// r8–r15: r10 is the fourth argument, r8 the fifth.
    pub r: [u64; 8],
    /// Vector of the exception or interrupt, [`SYSCALL`], [`MADE`] or [`IDLE`].
    pub vector: u64,
    /// Its error code.
    pub error: u64,
    /// Program counter. It is canonical whenever the kernel leaves for it, since `sysret` and
    /// `iret` would fault in the kernel otherwise. It is set in three ways:
    /// - by `syscall` of a program: the address behind the instruction, so [`END`] at most, where the last
    ///   region ends (a shim's: from its first address on). Such a context alone is left by `sysret`: whoever
    ///   sets this later sets the vector, too;
    /// - by an interrupt or exception: [`Context::interrupted`] looks at it;
    /// - by the kernel, for a start, an upcall or a frame to go on with: [`Context::leave_for`].
    pub rip: u64,
    /// Code segment: [`USER_CODE`], but for a guest's programs.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment: [`USER_DATA`], likewise.
    pub ss: u64,
    /// Base of FS; here only while another vCPU is current.
    pub fs: u64,
    /// Base of GS, likewise.
    pub gs: u64,
}

/// Bytes of the general registers, here and in a `Frame`.
pub const GENERAL: usize = offset_of!(Context, vector);
/// Where the part ends that the processor and the entry save.
pub const SAVED: u64 = offset_of!(Context, fs) as u64;

/// What a core returns to that has nothing to do.
pub static WAITING: Context = {
    let mut context: Context = zerocopy::transmute!([0u64; size_of::<Context>() / 8]);
    context.vector = IDLE;
    context
};

/// Where the FP registers lie in the page.
pub const FP: u64 = 512;

/// FP registers as after FNINIT and with the reset value of MXCSR (SDM Vol. 1, table 10-2: FCW at
/// 0, MXCSR at 24).
#[repr(C, align(16))]
pub struct FpArea(pub [u64; 64]);

/// The FP registers of a vCPU that starts.
pub static FP_CLEAN: FpArea = {
    let mut area = [0; 64];
    area[0] = 0x37f;
    area[24 / 8] = 0x1f80;
    FpArea(area)
};

impl Context {
    /// Makes the context of a vCPU that starts.
    pub fn fresh(entry: u64, stack: u64, arguments: [u64; 2]) -> Context {
        let mut context = Context::default();
        context.enter(entry, stack, arguments);
        context
    }

    /// Enters an upcall handler: stack and program counter, and the first two arguments. The other
    /// registers keep their values; the handler's stack is aligned as after a call.
    pub fn enter(&mut self, entry: u64, stack: u64, arguments: [u64; 2]) {
        [self.rdi, self.rsi] = arguments;
        self.leave_for(entry, stack, 0);
    }

    /// After an interrupt or exception: the program counter as the processor pushed it. AMD's push a
    /// jump's target even if it isn't canonical; the partition goes on where nothing is mapped then.
    pub fn interrupted(&mut self) -> u64 {
        let pushed = self.rip;
        self.rip = target(pushed);
        pushed
    }

    /// Goes on elsewhere. A partition may have written what is asked for: anything may stand there.
    pub fn leave_for(&mut self, pc: u64, sp: u64, flags: u64) {
        self.rip = target(pc);
        self.rsp = sp;
        self.rflags = sanitised(flags);
        (self.cs, self.ss) = (u64::from(USER_CODE), u64::from(USER_DATA));
        self.vector = MADE;
    }
}

/// Where a return to `address` may lead: `iret` with an address that is not canonical would fault
/// in the kernel.
pub const fn target(address: u64) -> u64 {
    if is_canonical(address) { address } else { NOWHERE }
}

/// A base that may be loaded into FS or GS: one that is not canonical would fault in the kernel.
pub const fn base(asked: u64) -> u64 {
    if is_canonical(asked) { asked } else { 0 }
}

/// Whether bits 63 to 47 are the same.
pub const fn is_canonical(address: u64) -> bool {
    (address.cast_signed() << 16 >> 16).cast_unsigned() == address
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_abi::x86_64::Frame;

    #[test]
    fn the_page_is_laid_out_as_the_entry_pushes() {
        assert_eq!(GENERAL, 15 * 8);
        assert_eq!(SAVED % 16, 0, "the processor aligns its pushes to 16");
        assert_eq!(SAVED, 176);
        assert!(size_of::<Context>() as u64 <= FP);
        const { assert!(FP + 512 <= parzelle_abi::PAGE) };
    }

    #[test]
    fn the_general_registers_stand_as_in_a_frame() {
        assert_eq!(offset_of!(Context, rdi), offset_of!(Frame, rdi));
        assert_eq!(offset_of!(Context, rbp), offset_of!(Frame, rbp));
        assert_eq!(offset_of!(Context, r), offset_of!(Frame, r));
        assert_eq!(GENERAL, offset_of!(Frame, sp));
    }

    /// Every way to set a program counter, with addresses on both sides of each border.
    #[test]
    fn no_context_is_left_for_an_address_that_is_not_canonical() {
        const LOW: u64 = 1 << 47;
        for asked in [0, END, LOW - 1, LOW, u64::MAX >> 1, 1 << 63, 0xffff_7fff_ffff_ffff, 0u64.wrapping_sub(LOW)] {
            let wanted = if asked >> 47 == 0 || asked >> 47 == u64::MAX >> 47 { asked } else { NOWHERE };
            let entered = Context { vector: SYSCALL, rip: END, ..Context::default() };
            let fresh = Context::fresh(asked, 0, [0; 2]);
            let (mut upcall, mut resumed) = (entered, entered);
            upcall.enter(asked, 0, [0; 2]);
            resumed.leave_for(asked, 0, 0);
            for context in [fresh, upcall, resumed] {
                assert_eq!((context.rip, context.vector), (wanted, MADE), "{asked:#x}");
            }
            let mut pushed = Context { vector: 14, rip: asked, ..Context::default() };
            assert_eq!(pushed.interrupted(), asked);
            assert_eq!(pushed.rip, wanted, "{asked:#x}");
        }
    }

    #[test]
    fn nothing_hostile_survives() {
        let mut context = Context::fresh(0, 0, [0; 2]);
        context.leave_for(1 << 63, 1 << 63, u64::MAX);
        assert_eq!(context.rip, NOWHERE);
        assert_eq!(context.rflags, sanitised(u64::MAX));
        assert_eq!(context.cs, 0x33);
        assert_eq!(context.ss, 0x2b);
        assert_eq!(base(0xffff_7fff_ffff_ffff), 0);
        assert_eq!(base(1 << 47), 0);
        assert_eq!(base(0x7fff_ffff_ffff), 0x7fff_ffff_ffff);
    }
}
