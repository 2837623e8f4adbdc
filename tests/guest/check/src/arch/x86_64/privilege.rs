// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Instructions that programs may not execute, and what they would learn from them.

use guest_support::attempt;
use guest_support::memory::{EXECUTE, Map, PAGE, WRITE};

use crate::verdict::{Verdict, equal, within, wrong};

/// Tries machine code, with a pointer to memory of ours in rdi.
fn execute(map: &Map, code: &[u8]) -> Result<usize, attempt::Trap> {
    if map.protect(0..1, WRITE).is_err() {
        return Ok(0);
    }
    map.load(&[code, &[0xc3]].concat());
    if map.protect(0..1, EXECUTE).is_err() {
        return Ok(0);
    }
    attempt::call(map.address())
}

/// Instructions of the kernel's, which fault as such.
const KERNELS: [(&str, &[u8]); 27] = [
    ("hlt", &[0xf4]),
    ("cli", &[0xfa]),
    ("sti", &[0xfb]),
    ("in al, 0x60", &[0xe4, 0x60]),
    ("in al, dx", &[0xec]),
    ("out 0x80, al", &[0xe6, 0x80]),
    ("out dx, eax", &[0xef]),
    ("mov rax, cr0", &[0x0f, 0x20, 0xc0]),
    ("mov rax, cr3", &[0x0f, 0x20, 0xd8]),
    ("mov rax, cr4", &[0x0f, 0x20, 0xe0]),
    ("mov cr0, rax", &[0x0f, 0x22, 0xc0]),
    ("mov cr3, rax", &[0x0f, 0x22, 0xd8]),
    ("mov rax, dr7", &[0x0f, 0x21, 0xf8]),
    ("mov dr0, rax", &[0x0f, 0x23, 0xc0]),
    ("rdmsr", &[0x0f, 0x32]),
    ("wrmsr", &[0x0f, 0x30]),
    ("lgdt [rdi]", &[0x0f, 0x01, 0x17]),
    ("lidt [rdi]", &[0x0f, 0x01, 0x1f]),
    ("lmsw ax", &[0x0f, 0x01, 0xf0]),
    ("invlpg [rdi]", &[0x0f, 0x01, 0x3f]),
    ("swapgs", &[0x0f, 0x01, 0xf8]),
    ("clts", &[0x0f, 0x06]),
    ("lldt ax", &[0x0f, 0x00, 0xd0]),
    ("ltr ax", &[0x0f, 0x00, 0xd8]),
    ("wbinvd", &[0x0f, 0x09]),
    ("invd", &[0x0f, 0x08]),
    ("sysretq", &[0x48, 0x0f, 0x07]),
];

/// Instructions for what isn't there: of hypervisors, and of states that aren't saved.
const ABSENT: [(&str, &[u8]); 6] = [
    ("vmcall", &[0x0f, 0x01, 0xc1]),
    ("vmmcall", &[0x0f, 0x01, 0xd9]),
    ("vmlaunch", &[0x0f, 0x01, 0xc2]),
    ("monitor", &[0x0f, 0x01, 0xc8]),
    ("xen's prefix", &[0x0f, 0x0b, 0x78, 0x65, 0x6e]),
    ("ud1", &[0x0f, 0xb9, 0xc0]),
];

/// All of them, and software interrupts to every vector that isn't for programs.
pub(crate) fn privileged_instructions() -> Verdict {
    let map = Map::private(PAGE, WRITE)?;
    for (what, code) in KERNELS {
        match execute(&map, code) {
            Ok(result) => return wrong(what, "SIGSEGV", format!("{result:#x}")),
            Err(trap) => equal(what, (libc::SIGSEGV, map.address()), (trap.signal, trap.place))?,
        }
    }
    for (what, code) in ABSENT {
        match execute(&map, code) {
            Ok(result) => return wrong(what, "SIGILL", format!("{result:#x}")),
            Err(trap) => equal(what, (libc::SIGILL, map.address()), (trap.signal, trap.place))?,
        }
    }
    // Breakpoints and overflows are for programs, and so are system calls of 32 bits.
    for vector in (0..=255_u8).filter(|vector| ![3, 4, 0x80].contains(vector)) {
        match execute(&map, &[0xcd, vector]) {
            Ok(_) => return wrong(format!("int {vector:#x}"), "SIGSEGV", "none"),
            Err(trap) => {
                equal(format!("int {vector:#x}"), (libc::SIGSEGV, map.address()), (trap.signal, trap.place))?;
            }
        }
    }
    Ok(())
}

/// Where the processor's tables lie is nobody's business: such instructions fault, or the kernel answers
/// with the same made-up addresses everywhere.
pub(crate) fn descriptor_tables() -> Verdict {
    let map = Map::private(PAGE, WRITE)?;
    let data = Map::private(PAGE, WRITE)?;
    map.load(&[0xc3]);
    for (what, code) in [("sgdt", [0x0f, 0x01, 0x00]), ("sidt", [0x0f, 0x01, 0x08])] {
        data.write(0, 0);
        data.write(8, 0);
        // mov rax, data; and the instruction with [rax].
        let load = [&[0x48, 0xb8][..], &data.address().to_le_bytes(), &code].concat();
        match execute(&map, &load) {
            Ok(_) => {
                let base = data.read(0) >> 16 | data.read(8) << 48;
                within(format!("base by {what}"), 0xffff_ffff_fffe_0000, u64::MAX, base)?;
            }
            Err(trap) => equal(what, libc::SIGSEGV, trap.signal)?,
        }
    }
    for (what, code) in [("sldt eax", [0x0f, 0x00, 0xc0]), ("str eax", [0x0f, 0x00, 0xc8])] {
        match execute(&map, &code) {
            // The kernel's own selectors at most.
            Ok(value) => within(what, 0, 0x7f, value & 0xffff)?,
            Err(trap) => equal(what, libc::SIGSEGV, trap.signal)?,
        }
    }
    Ok(())
}
