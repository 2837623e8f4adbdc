// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! x86-64: leaf functions, return address on the stack.

use core::arch::naked_asm;

use parzelle_rt::arch::Frame;

use super::Probe;

/// Makes the frame that of a return from the probe.
pub fn leave(frame: &mut Frame) {
    // SAFETY: probes don't move the stack pointer but by balanced pushes within an instruction
    // pair that doesn't fault, so the return address is where it points.
    frame.pc = unsafe { (frame.sp as *const u64).read() };
    frame.sp += 8;
    // Direction, alignment checks and single steps end with the probe.
    frame.flags &= !(1 << 8 | 1 << 10 | 1 << 18);
}

#[unsafe(naked)]
pub(super) unsafe extern "C" fn read(address: u64) -> u64 {
    naked_asm!("movzx eax, byte ptr [rdi]", "ret")
}

#[unsafe(naked)]
pub(super) unsafe extern "C" fn write(address: u64) -> u64 {
    naked_asm!("mov byte ptr [rdi], 0", "ret")
}

#[unsafe(naked)]
pub(super) unsafe extern "C" fn jump(address: u64) -> u64 {
    naked_asm!("jmp rdi")
}

/// Uses an FP register.
///
/// # Safety
/// Only through [`super::run`].
#[unsafe(naked)]
pub unsafe extern "C" fn use_fp(_: u64) -> u64 {
    naked_asm!("movq xmm0, rdi", "ret")
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
                naked_asm!($text, "ret")
            }
            probe
        })),*];
    };
}

instructions! { PRIVILEGED:
    "mov rax, cr0" "mov cr0, rdi" "mov rax, cr2" "mov cr2, rdi" "mov rax, cr3" "mov cr3, rdi"
    "mov rax, cr4" "mov cr4, rdi" "mov rax, cr8" "mov cr8, rdi"
    "mov rax, dr0" "mov dr0, rdi" "mov rax, dr6" "mov dr6, rdi" "mov rax, dr7" "mov dr7, rdi"
    "rdmsr" "wrmsr" "mov ecx, 0xc0000080; rdmsr" "mov ecx, 0xc0000082; wrmsr"
    "mov ecx, 0xc0000101; wrmsr" "mov ecx, 0x1b; wrmsr" "xor ecx, ecx; rdpmc"
    "lgdt [rsp]" "lidt [rsp]" "lldt di" "ltr di" "clts" "invd" "wbinvd" "invlpg [rsp]"
    "hlt" "cli" "sti" "swapgs" "sysretq" "lmsw di" "sysexit"
    "in al, 0x20" "in al, 0x60" "in al, 0x71" "in eax, dx" "out 0x20, al" "out 0x21, al"
    "out 0x70, al" "out dx, eax" "mov edx, 0xcf8; out dx, eax" "mov edx, 0xcf9; out dx, al"
    "mov edx, 0xf4; out dx, eax" "mov edx, 0x604; out dx, ax" "mov edx, 0x3f8; out dx, al"
    "mov edx, 0x64; out dx, al" "mov edx, 0x80; insb"
    "int 0" "int 2" "int 8" "int 13" "int 14" "int 0x20" "int 0x30" "int 0x80" "int 0xff"
    "ud2" "vmcall" "vmlaunch" "vmxoff" "vmmcall" "vmrun" "stgi" "clgi" "skinit" "rsm"
    "monitor" "mwait" "xsetbv" "mov edi, 0x13; mov ss, di" "mov ds, sp" "mov ax, 0x10; mov ds, ax"
    "mov ax, 0xfff8; mov es, ax" "sysenter"
}

// What a partition may do, or what has no effect, or what depends on the processor: these need
// not fault.
instructions! { ALLOWED:
    "int 3" ".byte 0xf1" "rdtsc" "rdtscp" "pause" "lfence" "mfence" "clflush [rsp]"
    "sgdt [rsp - 32]" "sidt [rsp - 32]" "sldt ax" "str ax" "smsw ax" "verr di" "verw di"
    "lar eax, edi" "lsl eax, edi" "pushfq; pop rax" "pushfq; or qword ptr [rsp], 0x100; popfq; nop"
    "pushfq; or qword ptr [rsp], 0x4000; popfq; xor eax, eax; syscall"
    "pushfq; or qword ptr [rsp], 0x40000; popfq; xor eax, eax; syscall"
    "pushfq; or qword ptr [rsp], 0x3200; popfq" "pushfq; and qword ptr [rsp], ~0x200; popfq"
    "xor eax, eax; mov fs, ax" "xor eax, eax; mov gs, ax" "wrfsbase rdi" "wrgsbase rdi"
    "rdgsbase rax" "std; xor eax, eax; syscall; cld" "prefetchw [rdi]"
    "mov r9, rsp; mov rsp, rdi; xor eax, eax; syscall; mov rsp, r9"
    "mov r9, rsp; xor esp, esp; xor eax, eax; syscall; mov rsp, r9"
}
