// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! aarch64.

mod hostile;

use std::arch::{asm, global_asm};

use guest_support::memory::{EXECUTE, Map, PAGE, WRITE};
use guest_support::process::Child;
use guest_support::{attempt, check};

use crate::runner::Check;
use crate::trace;
use crate::verdict::{Verdict, equal, wrong};

pub(crate) use hostile::HOSTILE_RETURNS;

/// Checks that only this architecture has.
pub(crate) const CHECKS: &[(&str, Check)] = &[("identification-registers", identification)];

/// Where `/proc/cpuinfo` lists features, and some that are always there.
pub(crate) const FEATURES: &str = "Features";
pub(crate) const EXPECTED_FEATURES: &[&str] = &["fp", "asimd"];
/// Where it tells how fast a processor is.
pub(crate) const SPEED: &str = "BogoMIPS";

/// Vector registers of 16 bytes.
pub(crate) const VECTORS: usize = 32;

/// General registers, as tracers see them: x0 to x30, the stack pointer, the program counter, PSTATE.
pub(crate) type Registers = [u64; 34];
pub(crate) const NO_REGISTERS: Registers = [0; 34];

/// Instructions between the labels below, one step each.
pub(crate) const STEPS: usize = 25;

global_asm!(
    ".global check_steps, check_steps_end, check_registers",
    "check_steps:",
    "brk #0",
    "mov w1, #10",
    "1: subs w1, w1, #1",
    "b.ne 1b",
    "mov x8, #172",
    "svc #0",
    "nop",
    "nop",
    "check_steps_end:",
    "mov w0, #77",
    "ret",
    // x0: room for x1 to x28 but x8, and the flags.
    "check_registers:",
    "stp x29, x30, [sp, #-112]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "str x0, [sp, #96]",
    ".irp n, 1,2,3,4,5,6,7,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28",
    "movz x\\n, #0x100 + \\n",
    "movk x\\n, #0x7fff, lsl #48",
    ".endr",
    "mov x0, #0xa0000000",
    "msr nzcv, x0",
    "mov x8, #172",
    "svc #0",
    "ldr x0, [sp, #96]",
    ".irp n, 1,2,3,4,5,6,7,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28",
    "str x\\n, [x0, #8 * \\n]",
    ".endr",
    "mrs x1, nzcv",
    "str x1, [x0]",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #112",
    "ret",
);

unsafe extern "C" {
    safe fn check_steps() -> usize;
    safe fn check_steps_end();
    safe fn check_registers(room: &mut [u64; 29]);
}

/// Runs the instructions that are counted, behind a breakpoint; returns 77.
pub(crate) fn known_steps() -> usize {
    check_steps()
}

/// Where the counted instructions end.
pub(crate) fn end_of_known_steps() -> u64 {
    check_steps_end as *const () as u64
}

/// Where a traced program is.
pub(crate) fn program_counter(registers: &Registers) -> u64 {
    registers[32]
}

/// The system call that a traced program makes.
pub(crate) fn system_call(registers: &Registers) -> u64 {
    registers[8]
}

/// Has a traced program stop before it writes one of eight bytes, or no longer.
pub(crate) fn set_watchpoint(child: &Child, address: Option<usize>) -> Verdict {
    // Enabled, all eight bytes, stores.
    set_point(child, 0x403, address, 1 | 0xff << 5 | 2 << 3)
}

/// Has a traced program stop at an instruction, or no longer.
pub(crate) fn set_breakpoint(child: &Child, address: Option<usize>) -> Verdict {
    set_point(child, 0x402, address, 1 | 0xf << 5)
}

/// Sets the first point of a kind: NT_ARM_HW_BREAK or NT_ARM_HW_WATCH.
fn set_point(child: &Child, kind: usize, address: Option<usize>, control: u64) -> Verdict {
    let mut state = [0, address.unwrap_or(0) as u64, if address.is_some() { control } else { 0 }];
    let mut part = libc::iovec { iov_base: (&raw mut state).cast(), iov_len: size_of_val(&state) };
    let kind = std::ptr::without_provenance_mut::<()>(kind);
    // SAFETY: as many bytes as are said.
    let result = unsafe { libc::ptrace(libc::PTRACE_SETREGSET as _, child.pid(), kind, &raw mut part) };
    check(result as i32)?;
    Ok(())
}

/// Moves a traced program over the breakpoint that it stands at.
pub(crate) fn skip_breakpoint(child: &Child) -> std::io::Result<()> {
    let mut registers = trace::registers(child)?;
    registers[32] += 4;
    let mut part = libc::iovec { iov_base: (&raw mut registers).cast(), iov_len: size_of_val(&registers) };
    let general = std::ptr::without_provenance_mut::<()>(1);
    // SAFETY: as many bytes as are said.
    let result = unsafe { libc::ptrace(libc::PTRACE_SETREGSET as _, child.pid(), general, &raw mut part) };
    check(result as i32).map(drop)
}

/// Fills the vector registers, lets others run, and reads them again.
pub(crate) fn hold(wanted: &[u64; 64], found: &mut [u64; 64], spins: u64) {
    // SAFETY: reads and writes both arrays; all registers that change are named.
    unsafe {
        asm!(
            ".irp n, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30",
            "add x11, x9, #16 * \\n",
            "ldr q\\n, [x11]",
            ".endr",
            ".irp n, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31",
            "add x11, x9, #16 * \\n",
            "ldr q\\n, [x11]",
            ".endr",
            "cbnz x12, 2f",
            "mov x8, #124",
            "svc #0",
            "b 3f",
            "2: subs x12, x12, #1",
            "b.ne 2b",
            "3:",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "add x11, x10, #16 * \\n",
            "str q\\n, [x11]",
            ".endr",
            in("x9") wanted.as_ptr(), in("x10") found.as_mut_ptr(), inout("x12") spins => _,
            out("x0") _, out("x8") _, out("x11") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
            out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _,
            out("v29") _, out("v30") _, out("v31") _, options(nostack),
        );
    }
}

/// Sets how numbers are rounded: to nearest, down, up, to zero (FPCR.RMode has up before down).
pub(crate) fn set_rounding(mode: u32) {
    let bits = [0_u64, 2, 1, 3][mode as usize % 4] << 22;
    // SAFETY: changes rounding only.
    unsafe { asm!("msr fpcr, {}", in(reg) bits, options(nomem, nostack)) };
}

/// How numbers are rounded.
pub(crate) fn rounding() -> u32 {
    let bits: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, fpcr", out(reg) bits, options(nomem, nostack)) };
    [0, 2, 1, 3][(bits >> 22 & 3) as usize]
}

/// Addresses of the upper range, where the kernel lies, and between the ranges.
pub(crate) fn kernel_addresses() -> impl Iterator<Item = usize> {
    let upper = (0..512).map(|slot| 0xffff_0000_0000_0000 + (slot << 39) + ((slot * 7919) << 12));
    let dense = (0..512).map(|step| 0xffff_8000_0000_0000 + (step << 21) + step);
    let edges = [0xffff_ffff_ffff_f000, 0xffff_ffff_ffff_ffff, 0xfff0_0000_0000_0000, 0x0001_0000_0000_0000];
    upper.chain(dense).chain(edges)
}

/// Whether an address could be one by its form.
pub(crate) fn is_canonical(address: usize) -> bool {
    address >> 48 == 0xffff || address >> 48 == 0
}

/// Instructions that the kernel keeps to itself: SIGILL, or SIGSEGV where only the address is wrong.
pub(crate) fn privileged_instructions() -> Verdict {
    let map = Map::private(PAGE, WRITE)?;
    let cases: [(&str, u32); 16] = [
        ("mrs x0, sctlr_el1", 0xd538_1000),
        ("msr sctlr_el1, x0", 0xd518_1000),
        ("mrs x0, ttbr1_el1", 0xd538_2020),
        ("msr ttbr0_el1, x0", 0xd518_2000),
        ("mrs x0, hcr_el2", 0xd53c_1100),
        ("mrs x0, vbar_el1", 0xd538_c000),
        ("msr daifset, #15", 0xd503_4fdf),
        ("msr cntv_cval_el0, x0", 0xd51b_e340),
        ("mrs x0, icc_iar1_el1", 0xd538_cc00),
        ("msr icc_sgi1r_el1, x0", 0xd518_cba0),
        ("tlbi vmalle1", 0xd508_871f),
        ("at s1e1r, x0", 0xd508_7800),
        ("hvc #0", 0xd400_0002),
        ("smc #0", 0xd400_0003),
        ("eret", 0xd69f_03e0),
        ("ic iallu", 0xd508_751f),
    ];
    for (what, instruction) in cases {
        map.protect(0..1, WRITE)?;
        let code = [instruction.to_le_bytes(), 0xd65f_03c0_u32.to_le_bytes()].concat();
        map.load(&code);
        map.protect(0..1, EXECUTE)?;
        match attempt::call(map.address()) {
            Ok(result) => return wrong(what, "SIGILL", format!("{result:#x}")),
            Err(trap) => equal(what, (libc::SIGILL, map.address()), (trap.signal, trap.place))?,
        }
    }
    Ok(())
}

/// A system call changes its result and nothing else.
pub(crate) fn system_call_registers() -> Verdict {
    for _ in 0..100 {
        let mut found = [0; 29];
        check_registers(&mut found);
        equal("flags", 0xa000_0000, found[0])?;
        for (number, &value) in found.iter().enumerate().skip(1).filter(|&(number, _)| number != 8) {
            equal(format!("x{number}"), 0x7fff_0000_0000_0100 + number as u64, value)?;
        }
    }
    Ok(())
}

/// Division by zero gives zero here, and no signal.
pub(crate) fn arithmetic() -> Verdict {
    extern "C" fn divide(a: usize, b: usize) -> usize {
        let result: usize;
        // SAFETY: computes.
        unsafe { asm!("udiv {}, {}, {}", out(reg) result, in(reg) a, in(reg) b, options(nomem, nostack)) };
        result
    }
    equal("42 by 0", Ok(0), attempt::attempt(divide, 42, 0))?;
    equal("42 by 7", Ok(6), attempt::attempt(divide, 42, 7))
}

/// Registers that identify the processor: the kernel answers for it, alike each time.
fn identification() -> Verdict {
    extern "C" fn read(_: usize, _: usize) -> usize {
        let value: usize;
        // SAFETY: reads a register, which the kernel emulates.
        unsafe { asm!("mrs {}, midr_el1", out(reg) value, options(nomem, nostack)) };
        value
    }
    let first = attempt::attempt(read, 0, 0);
    equal("whether MIDR_EL1 can be read", true, first.is_ok_and(|value| value != 0))?;
    for _ in 0..100 {
        equal("MIDR_EL1", first, attempt::attempt(read, 0, 0))?;
    }
    Ok(())
}

/// Nothing more.
pub(crate) fn more_of_cpuinfo(_features: &[String]) -> Verdict {
    Ok(())
}
