// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Programs of 32 bits, and their way into the kernel.
//!
//! ```text
//!   legacy_far: low stack, retf ──▶ 0x23: code of 32 bits in low memory ── int 0x80 ──▶ kernel
//!        ▲                                       │
//!        └──────────── retf to 0x33 ◀────────────┘
//! ```

use std::arch::global_asm;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use guest_support::memory::{Map, PAGE, WRITE};
use guest_support::process::{self, pipe};
use guest_support::signal::handle;
use guest_support::{attempt, check};

use super::segments::low;
use crate::verdict::{Verdict, absent, equal, within};

global_asm!(
    ".global legacy_call, legacy_far, legacy_code, legacy_code_end, legacy_fault, legacy_fault_end",
    // rdi: number; rsi: three arguments of 32 bits.
    "legacy_call:",
    "push rbx",
    "mov rax, rdi",
    "mov ebx, [rsi]",
    "mov ecx, [rsi + 4]",
    "mov edx, [rsi + 8]",
    "int 0x80",
    "pop rbx",
    "ret",
    // rdi: code of 32 bits; rsi: top of a stack in low memory, above which lie two words: an argument
    // for the code, and room for its answer.
    "legacy_far:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rip + legacy_stack], rsp",
    "mov rsp, rsi",
    "lea ebx, [rip + 3f]",
    "push 0x23",
    "push rdi",
    "retfq",
    "3:",
    "mov rsp, [rip + legacy_stack]",
    "xor ecx, ecx",
    "mov ds, ecx",
    "mov es, ecx",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    ".local legacy_stack",
    ".comm legacy_stack, 8, 8",
    ".code32",
    // Spins, asks for the process's number, and answers through its data segment.
    "legacy_code:",
    "mov ecx, 0x2b",
    "mov ds, ecx",
    "mov es, ecx",
    "mov ecx, [esi]",
    "xor edi, edi",
    "4: add edi, ecx",
    "dec ecx",
    "jnz 4b",
    "mov [esi + 4], edi",
    "mov edi, ebx",
    "mov eax, 20",
    "int 0x80",
    "mov [esi + 8], eax",
    "push 0x33",
    "push edi",
    "retf",
    "legacy_code_end:",
    "legacy_fault:",
    "mov ecx, 0x2b",
    "mov ds, ecx",
    "mov dword ptr [0x10], 1",
    "legacy_fault_end:",
    ".code64",
);

unsafe extern "C" {
    safe fn legacy_call(number: usize, arguments: usize) -> usize;
    safe fn legacy_far(code: usize, stack: usize) -> usize;
    static legacy_code: [u8; 0];
    static legacy_code_end: [u8; 0];
    static legacy_fault: [u8; 0];
    static legacy_fault_end: [u8; 0];
}

/// A call by `int 0x80` as 32 bits return it. One thread at a time: it may fault.
pub(super) fn call(number: usize, arguments: [u32; 3]) -> Result<i32, attempt::Trap> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let from = (&raw const arguments).expose_provenance();
    attempt::attempt(legacy_call, number, from).map(|result| result as i32)
}

/// System calls of 32 bits, made by code of 64 bits.
pub(crate) fn from_64_bit() -> Verdict {
    const GETPID: usize = 20;
    const WRITE_TO: usize = 4;
    let own = process::own() as i32;
    match call(GETPID, [0; 3]) {
        Ok(result) if result == -libc::ENOSYS => return absent("this kernel has no calls of 32 bits"),
        result => equal("getpid", Ok(own), result)?,
    }
    let (read, write) = pipe(libc::O_CLOEXEC)?;
    let data = low(PAGE, WRITE)?;
    data.write(0, u64::from_le_bytes(*b"thirty-2"));
    let written = call(WRITE_TO, [write.as_raw_fd() as u32, data.address() as u32, 8]);
    equal("write", Ok(8), written)?;
    let mut text = [0; 8];
    File::from(read).read_exact(&mut text)?;
    equal("what was written", b"thirty-2", &text)?;
    for number in [1023_usize, 5000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        equal(format!("call {number:#x}"), Ok(-libc::ENOSYS), call(number, [0; 3]))?;
    }
    for _ in 0..500 {
        equal("getpid", Ok(own), call(GETPID, [0; 3]))?;
    }
    Ok(())
}

/// Code and stack in low memory.
struct Low {
    code: Map,
    stack: Map,
}

/// Where the code finds its argument and leaves its answer, on the page of the stack.
const ROOM: usize = PAGE - 64;

impl Low {
    /// Copies the code between two labels.
    fn new(begin: *const u8, end: *const u8) -> std::io::Result<Self> {
        let low = Self { code: low(PAGE, WRITE)?, stack: low(PAGE, WRITE)? };
        // SAFETY: both labels are in the program's text, in this order.
        let text = unsafe { std::slice::from_raw_parts(begin, end.addr() - begin.addr()) };
        low.code.load(text);
        low.code.protect(0..1, guest_support::memory::EXECUTE)?;
        Ok(low)
    }

    /// The code that spins and calls.
    fn caller() -> std::io::Result<Self> {
        Self::new((&raw const legacy_code).cast(), (&raw const legacy_code_end).cast())
    }

    /// Runs it, to its end or its fault.
    fn run(&self, spins: u32) -> Result<usize, attempt::Trap> {
        self.stack.write(ROOM, u64::from(spins));
        self.stack.write(ROOM + 8, 0);
        attempt::attempt(legacy_far, self.code.address(), self.stack.address() + ROOM)
    }

    /// Runs it and looks at its answers: a sum, and the process's number.
    fn check(&self, spins: u32) -> Verdict {
        equal("whether it came back", true, self.run(spins).is_ok())?;
        let sum = (u64::from(spins) * (u64::from(spins) + 1) / 2) as u32;
        equal("its sum", sum, (self.stack.read(ROOM) >> 32) as u32)?;
        equal("getpid", process::own(), self.stack.read(ROOM + 8) as u32)
    }
}

/// Whether this kernel runs programs of 32 bits.
fn there() -> Verdict {
    match call(20, [0; 3]) {
        Ok(result) if result > 0 => Ok(()),
        _ => absent("this kernel has no calls of 32 bits"),
    }
}

/// Code of 32 bits runs, calls and comes back.
pub(crate) fn code_32() -> Verdict {
    there()?;
    let low = Low::caller()?;
    for round in 1..200 {
        low.check(round)?;
    }
    Ok(())
}

static COUNT: AtomicU64 = AtomicU64::new(0);

extern "C" fn tick(_: i32, _: &libc::siginfo_t, _: &mut libc::ucontext_t) {
    COUNT.fetch_add(1, SeqCst);
}

/// It is interrupted, by switches and signals, and goes on as it was.
pub(crate) fn preempted() -> Verdict {
    there()?;
    let low = Low::caller()?;
    handle(libc::SIGALRM, tick, 0, &[])?;
    let every = libc::timeval { tv_sec: 0, tv_usec: 500 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a structure of ours.
    check(unsafe { libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0) as i32 })?;
    for round in 0..20 {
        low.check(1_000_000 + round)?;
    }
    within("signals", 10, u64::MAX, COUNT.load(SeqCst))
}

/// Its faults are signals, from which code of 64 bits goes on.
pub(crate) fn faults() -> Verdict {
    there()?;
    let low = Low::new((&raw const legacy_fault).cast(), (&raw const legacy_fault_end).cast())?;
    for _ in 0..10 {
        let found = low.run(1).map_err(|it| (it.signal, it.address, it.place & !(PAGE - 1)));
        equal("a write near 0", Err((libc::SIGSEGV, 0x10, low.code.address())), found)?;
    }
    Ok(())
}
