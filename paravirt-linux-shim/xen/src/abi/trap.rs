// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Traps, callbacks, and the frames and contexts of vCPUs (`arch-x86/xen.h`, `xen-x86_64.h`).

use super::wire;

wire! {
    /// Where a trap goes (`trap_info`).
    TrapInfo: 16 {
        /// Its number.
        0 vector: u8,
        /// Bits 0–1: the least privileged ring that may raise it by `int`. Bit 2: mask events.
        1 flags: u8,
        /// Code segment.
        2 cs: u16,
        /// Unused.
        4 pad: u32,
        /// Entry; 0 ends a list.
        8 address: u64,
    }
    /// What `iret` finds on the stack (`iret_context`).
    IretContext: 72 {
        /// Register.
        0 rax: u64,
        /// Register.
        8 r11: u64,
        /// Register.
        16 rcx: u64,
        /// See [`IN_SYSCALL`].
        24 flags: u64,
        /// Where to.
        32 rip: u64,
        /// Code segment.
        40 cs: u64,
        /// Flags; IF tells whether events are masked.
        48 rflags: u64,
        /// Stack.
        56 rsp: u64,
        /// Stack segment.
        64 ss: u64,
    }
    /// The registers of a vCPU (`cpu_user_regs`).
    UserRegs: 200 {
        /// r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi.
        0 general: [u64; 15],
        /// Error code of a trap.
        120 error_code: u32,
        /// Its number.
        124 entry_vector: u32,
        /// Where it is.
        128 rip: u64,
        /// Code segment.
        136 cs: u16,
        /// Unused.
        138 pad: u16,
        /// Whether events were masked.
        140 saved_upcall_mask: u8,
        /// Unused.
        141 pad1: [u8; 3],
        /// Flags.
        144 rflags: u64,
        /// Stack.
        152 rsp: u64,
        /// Stack segment.
        160 ss: u16,
        /// Unused.
        162 pad2: [u16; 3],
        /// Data segment.
        168 es: u16,
        /// Unused.
        170 pad3: [u16; 3],
        /// Data segment.
        176 ds: u16,
        /// Unused.
        178 pad4: [u16; 3],
        /// Data segment.
        184 fs: u16,
        /// Unused.
        186 pad5: [u16; 3],
        /// Data segment.
        192 gs: u16,
        /// Unused.
        194 pad6: [u16; 3],
    }
    /// What a vCPU begins with (`vcpu_guest_context`).
    GuestContext: 5168 {
        /// FP state, as FXSAVE writes it.
        0 fpu_ctxt: [[u8; 64]; 8],
        /// See [`context`].
        512 flags: u64,
        /// Registers.
        520 user_regs: UserRegs,
        /// Traps, by their number; one without an address is none.
        720 trap_ctxt: [TrapInfo; 256],
        /// Address of the LDT.
        4816 ldt_base: u64,
        /// Its entries.
        4824 ldt_ents: u64,
        /// Machine frames of the GDT.
        4832 gdt_frames: [u64; 16],
        /// Its entries.
        4960 gdt_ents: u64,
        /// Stack for entries from user mode.
        4968 kernel_ss: u64,
        /// The same.
        4976 kernel_sp: u64,
        /// CR0…CR7; CR3 is the root's machine address, CR1 the user root's.
        4984 ctrlreg: [u64; 8],
        /// DR0…DR7.
        5048 debugreg: [u64; 8],
        /// Entry for events.
        5112 event_callback: u64,
        /// Entry when a return to user mode fails.
        5120 failsafe_callback: u64,
        /// Entry for system calls.
        5128 syscall_callback: u64,
        /// Assists.
        5136 vm_assist: u64,
        /// Base of FS.
        5144 fs_base: u64,
        /// Base of GS in the kernel.
        5152 gs_base_kernel: u64,
        /// Base of GS in user mode.
        5160 gs_base_user: u64,
    }
    /// `callback_register`.
    CallbackRegister: 16 {
        /// See [`Callback`].
        0 kind: u16,
        /// Bit 0: mask events.
        2 flags: u16,
        /// Unused.
        4 pad: u32,
        /// Entry.
        8 address: u64,
    }
}

/// [`IretContext::flags`]: the frame was made by `syscall`, rcx and r11 need not be restored.
pub const IN_SYSCALL: u64 = 1 << 8;
/// [`TrapInfo::flags`], [`CallbackRegister::flags`] (there bit 0): events are masked on entry.
pub const TRAP_MASKS_EVENTS: u8 = 1 << 2;
/// See [`TRAP_MASKS_EVENTS`].
pub const CALLBACK_MASKS_EVENTS: u16 = 1;
/// Entries that a guest's GDT may have: the rest is the hypervisor's.
pub const GDT_ENTRIES_MAX: u64 = 14 * 512;

/// Flags of [`GuestContext`].
pub mod context {
    /// It begins in the guest's kernel.
    pub const IN_KERNEL: u64 = 1 << 2;
    /// The failsafe entry masks events.
    pub const FAILSAFE_MASKS_EVENTS: u64 = 1 << 3;
    /// The system call entry masks events.
    pub const SYSCALL_MASKS_EVENTS: u64 = 1 << 4;
}

/// Selectors of the flat segments that the hypervisor's part of the GDT has for guests.
pub mod selector {
    /// 32-bit code.
    pub const CODE32: u16 = 0xe023;
    /// Data and stack.
    pub const DATA: u16 = 0xe02b;
    /// 64-bit code.
    pub const CODE64: u16 = 0xe033;
}

super::numbers! {
    /// What an entry point is for.
    Callback {
        /// Events.
        Event = 0,
        /// A return to user mode failed.
        Failsafe = 1,
        /// `syscall` from 64-bit code.
        Syscall = 2,
        /// An old number of [`Self::Sysenter`].
        SysenterOld = 3,
        /// NMIs.
        Nmi = 4,
        /// `sysenter`.
        Sysenter = 5,
        /// `syscall` from 32-bit code.
        Syscall32 = 7,
    }
}

super::numbers! {
    /// Which base `set_segment_base` sets.
    SegmentBase {
        /// FS.
        Fs = 0,
        /// GS in user mode.
        GsUser = 1,
        /// GS in the kernel.
        GsKernel = 2,
        /// Not a base: the selector of GS in user mode.
        GsUserSelector = 3,
    }
}
