// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The place where Linux returns from all that it does: its hypercall `iret`, made a jump before it begins.
//!
//! Newer kernels have no page of hypercalls: they execute `syscall`, at two places. The kernel finds that the caller
//! is not the shim and sends it there. A jump does the same, and is no entry into the kernel. At this place it is easy:
//! nobody comes back to it, and nothing has run yet.
//!
//! ```text
//!   6a 00              push 0                         68 ….            push to (low half, sign-extended)
//!   51 41 53 50        push rcx; push r11; push rax   c7 44 24 04 ….   mov dword ptr [rsp + 4], to (high half)
//!   b8 17 00 00 00     mov eax, 23             ──▶    c3               ret
//!   0f 05 cc           syscall; int3
//! ```
//! All registers stay as they were, and the stack: what was pushed, `to` pushes. A kernel in which this isn't found,
//! exactly once, is left as it is.

use crate::notes::Kernel;

/// What it is.
const RETURN: [u8; 14] = [0x6a, 0, 0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0xcc];
/// Functions begin at multiples of this.
const ALIGNMENT: usize = 16;

/// Finds it: the pseudo-physical address.
#[must_use]
pub fn find(kernel: &Kernel<'_>) -> Option<u64> {
    let mut found = None;
    for segment in kernel.segments().flatten() {
        let places = (segment.address..).step_by(ALIGNMENT).zip(segment.bytes.chunks(ALIGNMENT));
        for (at, _) in places.filter(|(_, code)| code.starts_with(&RETURN)) {
            if found.replace(at).is_some() {
                return None;
            }
        }
    }
    found
}

/// What it becomes: a jump that changes no register.
#[must_use]
pub const fn jump(to: u64) -> [u8; 14] {
    let [a, b, c, d, e, f, g, h] = to.to_le_bytes();
    [0x68, a, b, c, d, 0xc7, 0x44, 0x24, 4, e, f, g, h, 0xc3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notes::tests::{elf, linux};

    #[test]
    fn it_is_found_if_it_is_there_once() {
        let notes = linux();
        let found = |code: &[u8]| {
            let file = elf(&[(4, 0, &notes, notes.len() as u64), (1, 0x100_0000, code, code.len() as u64)]);
            find(&Kernel::parse(&file).unwrap())
        };
        let mut code = vec![0x90; 100];
        assert_eq!(found(&code), None);
        code[33..47].copy_from_slice(&RETURN);
        assert_eq!(found(&code), None, "no function begins there");
        code[80..94].copy_from_slice(&RETURN);
        assert_eq!(found(&code), Some(0x100_0050));
        code[0..14].copy_from_slice(&RETURN);
        assert_eq!(found(&code), None, "which one?");
    }

    #[test]
    fn a_jump_has_both_halves_of_its_address() {
        let to = 0xffff_8100_8765_4321;
        assert_eq!(jump(to), *b"\x68\x21\x43\x65\x87\xc7\x44\x24\x04\x00\x81\xff\xff\xc3");
    }
}
