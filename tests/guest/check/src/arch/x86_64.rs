// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! x86-64.

mod hostile;
mod legacy;
mod privilege;
mod segments;
mod vsyscall;

use std::arch::{asm, global_asm};

use guest_support::attempt;
use guest_support::process::Child;

use crate::runner::Check;
use crate::verdict::{Verdict, absent, equal};

pub(crate) use hostile::HOSTILE_RETURNS;
pub(crate) use privilege::privileged_instructions;

/// Checks that only this architecture has.
pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("descriptor-tables-hidden", privilege::descriptor_tables),
    ("sigreturn-flags", hostile::flags),
    ("segment-bases", segments::bases),
    ("ldt", segments::local_descriptors),
    ("thread-area", segments::thread_areas),
    ("int80", legacy::from_64_bit),
    ("code32", legacy::code_32),
    ("code32-preempt", legacy::preempted),
    ("code32-fault", legacy::faults),
    ("vsyscall", vsyscall::vsyscall),
];

/// Where `/proc/cpuinfo` lists features, and some that are always there.
pub(crate) const FEATURES: &str = "flags";
pub(crate) const EXPECTED_FEATURES: &[&str] =
    &["fpu", "tsc", "msr", "cx8", "cmov", "mmx", "fxsr", "sse", "sse2", "syscall", "nx", "lm"];
/// Where it tells how fast a processor is.
pub(crate) const SPEED: &str = "bogomips";

/// Vector registers of 16 bytes.
pub(crate) const VECTORS: usize = 16;

/// General registers, as tracers see them (`struct user_regs_struct`).
pub(crate) type Registers = [u64; 27];
pub(crate) const NO_REGISTERS: Registers = [0; 27];

/// Instructions between the labels below, one step each.
pub(crate) const STEPS: usize = 29;

/// What the assembly below writes into registers, for the first of them; the others count up.
const FIRST: u64 = 0x7fff_0000_1234_5600;

global_asm!(
    ".global check_steps, check_steps_end, check_registers, check_hold",
    "check_steps: int3",
    "mov ecx, 10",
    "2: dec ecx",
    "jnz 2b",
    "mov eax, 39",
    "syscall",
    "nop",
    "nop",
    "push rax",
    "pop rax",
    "pushfq",
    "pop rax",
    "check_steps_end: mov eax, 77",
    "ret",
    // rdi: room for twelve registers and two values of the flags.
    "check_registers:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rdi",
    "movabs rax, 0x7fff000012345600",
    "mov rbx, rax",
    "lea rbp, [rax + 1]",
    "lea rdi, [rax + 2]",
    "lea rsi, [rax + 3]",
    "lea rdx, [rax + 4]",
    "lea r8, [rax + 5]",
    "lea r9, [rax + 6]",
    "lea r10, [rax + 7]",
    "lea r12, [rax + 8]",
    "lea r13, [rax + 9]",
    "lea r14, [rax + 10]",
    "lea r15, [rax + 11]",
    "pushfq",
    "or qword ptr [rsp], 0x200cd5", // ID, DF and OF, SF, ZF, AF, PF, CF
    "popfq",
    "mov eax, 39",
    "syscall",
    "pushfq",
    "mov rcx, [rsp + 8]",
    "mov [rcx], rbx",
    "mov [rcx + 8], rbp",
    "mov [rcx + 16], rdi",
    "mov [rcx + 24], rsi",
    "mov [rcx + 32], rdx",
    "mov [rcx + 40], r8",
    "mov [rcx + 48], r9",
    "mov [rcx + 56], r10",
    "mov [rcx + 64], r12",
    "mov [rcx + 72], r13",
    "mov [rcx + 80], r14",
    "mov [rcx + 88], r15",
    "mov [rcx + 96], r11",
    "pop rax",
    "mov [rcx + 104], rax",
    "cld",
    "pop rdi",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // rdi: what the vector registers are to hold; rsi: what they hold afterwards; rdx: spins.
    "check_hold:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movdqu xmm\\n, [rdi + 16 * \\n]",
    ".endr",
    "test rdx, rdx",
    "jnz 2f",
    "mov eax, 24",
    "syscall",
    "jmp 3f",
    "2: dec rdx",
    "jnz 2b",
    "3:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movdqu [rsi + 16 * \\n], xmm\\n",
    ".endr",
    "ret",
);

unsafe extern "C" {
    safe fn check_steps() -> usize;
    safe fn check_steps_end();
    safe fn check_registers(room: &mut [u64; 14]);
    safe fn check_hold(wanted: &[u64; 32], found: &mut [u64; 32], spins: u64);
}

/// Runs the instructions that are counted, behind a breakpoint; returns 77.
pub(crate) fn known_steps() -> usize {
    check_steps()
}

/// The shim has no breakpoints of the processor's.
pub(crate) fn set_watchpoint(_: &Child, _: Option<usize>) -> Verdict {
    absent("hardware breakpoints don't break")
}

/// As [`set_watchpoint`].
pub(crate) fn set_breakpoint(_: &Child, _: Option<usize>) -> Verdict {
    absent("hardware breakpoints don't break")
}

/// Where the counted instructions end.
pub(crate) fn end_of_known_steps() -> u64 {
    check_steps_end as *const () as u64
}

/// Where a traced program is.
pub(crate) fn program_counter(registers: &Registers) -> u64 {
    registers[16]
}

/// The system call that a traced program makes.
pub(crate) fn system_call(registers: &Registers) -> u64 {
    registers[15]
}

/// The processor stands behind the breakpoint already.
pub(crate) fn skip_breakpoint(_child: &Child) -> std::io::Result<()> {
    Ok(())
}

/// Fills the vector registers, lets others run, and reads them again.
pub(crate) fn hold(wanted: &[u64; 32], found: &mut [u64; 32], spins: u64) {
    check_hold(wanted, found, spins);
}

/// Sets how numbers are rounded: to nearest, down, up, to zero (MXCSR.RC).
pub(crate) fn set_rounding(mode: u32) {
    let value = 0x1f80 | mode << 13;
    // SAFETY: changes rounding only.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, readonly)) };
}

/// How numbers are rounded.
pub(crate) fn rounding() -> u32 {
    let mut value = 0_u32;
    // SAFETY: writes four bytes of ours.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value >> 13 & 3
}

/// Addresses of the upper half, where the kernel lies, and of the shim's window in it, and between the
/// halves.
pub(crate) fn kernel_addresses() -> impl Iterator<Item = usize> {
    // Not the page that programs may call for the time, at the upper end.
    let upper = (256..512).map(|slot| 0xffff_0000_0000_0000 | slot << 39 | (slot * 7919) << 12);
    // The shim's window: its slots' beginnings, and the first slots densely.
    let slots = (256..272).flat_map(|slot| {
        (0..64).map(move |step: usize| (0xffff_0000_0000_0000 | slot << 39) + step.pow(3) * 0x1000 + step)
    });
    let dense = (0..256).map(|step| 0xffff_8100_0000_0000 + (step << 21) + step);
    let edges = [
        0xffff_8000_0000_0000,
        0xffff_87ff_ffff_ffff,
        0xffff_8800_0000_0000,
        0xffff_ffff_8100_0000,
        0xffff_ffff_ffff_ffff,
        0x0000_8000_0000_0000,
        0xffff_7fff_ffff_ffff,
        0x8000_0000_0000_0000,
    ];
    upper.chain(slots).chain(dense).chain(edges)
}

/// Whether an address could be one by its form.
pub(crate) fn is_canonical(address: usize) -> bool {
    matches!(address >> 47, 0 | 0x1ffff)
}

/// A system call changes its result, rcx and r11, and nothing else.
pub(crate) fn system_call_registers() -> Verdict {
    for _ in 0..100 {
        let mut found = [0; 14];
        check_registers(&mut found);
        for (number, value) in found.iter().take(12).enumerate() {
            equal(format!("register {number}"), FIRST + number as u64, *value)?;
        }
        equal("flags", 0x20_0cd5, found[13] & 0x20_0cd5)?;
        equal("flags as r11 has them", found[13], found[12])?;
    }
    Ok(())
}

/// Arithmetic that has no result becomes SIGFPE, at its instruction.
pub(crate) fn arithmetic() -> Verdict {
    extern "C" fn divide(a: usize, b: usize) -> usize {
        let result: usize;
        // SAFETY: computes, or faults, as wanted.
        unsafe {
            asm!("cqo", "idiv {}", in(reg) b, inout("rax") a => result, out("rdx") _, options(nomem, nostack));
        }
        result
    }
    extern "C" fn divide_real(_: usize, _: usize) -> usize {
        let unmasked = 0x1f80_u32 & !(1 << 9);
        // SAFETY: as above; the caller sets the register back.
        unsafe {
            asm!("ldmxcsr [{0}]", "mov {1}, 1", "cvtsi2sd xmm0, {1}", "pxor xmm1, xmm1", "divsd xmm0, xmm1",
                 in(reg) &raw const unmasked, out(reg) _, out("xmm0") _, out("xmm1") _, options(nostack));
        }
        0
    }
    extern "C" fn divide_x87(_: usize, _: usize) -> usize {
        let unmasked = 0x37b_u16;
        // SAFETY: as above.
        unsafe {
            asm!("fninit", "fldcw [{0}]", "fld1", "fldz", "fdivp", "fwait", "fninit",
                 in(reg) &raw const unmasked, options(nostack));
        }
        0
    }
    equal("42 by 7", Ok(6), attempt::attempt(divide, 42, 7))?;
    for (a, b) in [(42, 0), (usize::MAX / 2 + 1, usize::MAX)] {
        let found = attempt::attempt(divide, a, b).map_err(|it| (it.signal, it.code, it.address == it.place));
        equal("a quotient that doesn't exist", Err((libc::SIGFPE, 1, true)), found)?;
    }
    for _ in 0..3 {
        let found = attempt::attempt(divide_real, 1, 0).map_err(|it| (it.signal, it.code));
        set_rounding(0);
        // QEMU's own processor has no such exceptions.
        if found.is_err() {
            equal("1.0 by 0.0, unmasked", Err((libc::SIGFPE, 3)), found)?;
        }
        let found = attempt::attempt(divide_x87, 1, 0).map_err(|it| (it.signal, it.code));
        // SAFETY: sets the unit to its beginning.
        unsafe { asm!("fninit", options(nomem, nostack)) };
        equal("1.0 by 0.0, unmasked, by the x87", Err((libc::SIGFPE, 3)), found)?;
    }
    Ok(())
}

/// What CPUID says to programs fits what they may do: OSXSAVE means that XCR0 can be read, and what
/// the kernel lists is there.
pub(crate) fn more_of_cpuinfo(features: &[String]) -> Verdict {
    extern "C" fn read_xcr0(_: usize, _: usize) -> usize {
        let low: u32;
        // SAFETY: reads a register, or faults.
        unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack)) };
        low as usize
    }
    let has_xsave = std::arch::x86_64::__cpuid(1).ecx >> 27 & 1 == 1;
    let found = attempt::attempt(read_xcr0, 0, 0);
    equal("whether XCR0 can be read", has_xsave, found.is_ok_and(|bits| bits & 3 == 3))?;
    let avx = features.first().is_some_and(|list| list.split(' ').any(|word| word == "avx"));
    equal("whether AVX has its state saved", avx, avx && found.is_ok_and(|bits| bits & 4 == 4))
}
