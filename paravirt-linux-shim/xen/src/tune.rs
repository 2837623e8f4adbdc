// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Optional: spares a Linux kernel work that is for nothing here.
//!
//! Linux turns pseudo-physical frames into machine frames and back whenever it reads or writes an entry of a page
//! table, by ten functions of `pv_ops.mmu`. The two are the same here (no frame is a foreign one), so each could as
//! well give back what it is given. Half of what a page fault costs a guest more than a bare machine goes there.
//!
//! ```text
//!   xen_mmu_ops (6.1 …):  … │ pte_val │ make_pte │ pgd_val │ make_pgd │ set_pud │ pmd_val │ make_pmd │ pud_val │ make_pud │ set_p4d │ p4d_val │ make_p4d │ …
//!                              ▼ T        T          T         T          -         T         T          T         T          -         T         T
//!   T: push rcx; push rdx; push rsi; push rdi; push r8 … r11; call …     becomes: mov rax, rdi; ret
//! ```
//! The functions are found by this pattern: pointers, in this order, to code that begins so. A kernel in which it
//! isn't found, exactly once, is left as it is: nothing depends on the tuning.

use crate::notes::{Kernel, Segment};

/// How many functions there are.
pub const FUNCTIONS: usize = 10;
/// What a function becomes: mov rax, rdi; ret.
pub const IDENTITY: [u8; 4] = [0x48, 0x89, 0xf8, 0xc3];
/// How such a function begins, where all registers but rax are kept: it saves them, and calls.
const BEGIN: [u8; 13] = [0x51, 0x52, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53, 0xe8];
/// What may stand before: endbr64.
const LANDING: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// Which words of the table lead to them.
const PATTERN: [bool; 12] = [true, true, true, true, false, true, true, true, true, false, true, true];
/// Segments of a kernel that are looked at.
const SEGMENTS: usize = 8;

/// Finds the functions: pseudo-physical addresses of their first instructions. None: this kernel isn't known.
#[must_use]
pub fn find(kernel: &Kernel<'_>) -> Option<[u64; FUNCTIONS]> {
    let mut segments = [None; SEGMENTS];
    kernel.segments().zip(&mut segments).for_each(|(segment, slot)| *slot = segment.ok());
    let mut found = None;
    for segment in segments.iter().flatten() {
        let words = segment.bytes.chunks_exact(8).map(|word| {
            let address = word.try_into().map_or(0, u64::from_le_bytes);
            function(&segments, address.wrapping_sub(kernel.notes.virt_base))
        });
        // The latest words, as many as the pattern has.
        let mut window = [None; PATTERN.len()];
        for word in words {
            window.rotate_left(1);
            window.last_mut().into_iter().for_each(|last| *last = word);
            if window.iter().zip(PATTERN).all(|(word, wanted)| word.is_some() == wanted) {
                if found.is_some() {
                    return None;
                }
                let mut functions = [0; FUNCTIONS];
                functions.iter_mut().zip(window.iter().flatten()).for_each(|(to, from)| *to = *from);
                found = Some(functions);
            }
        }
    }
    found
}

/// The first instruction of such a function at a pseudo-physical address, if there is one.
fn function(segments: &[Option<Segment<'_>>], at: u64) -> Option<u64> {
    let code = segments.iter().flatten().find_map(|segment| {
        let offset = at.checked_sub(segment.address)?;
        segment.bytes.get(offset as usize..)
    })?;
    let landing = if code.starts_with(&LANDING) { LANDING.len() } else { 0 };
    code.get(landing..)?.starts_with(&BEGIN).then_some(at + landing as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_known_by_its_first_instructions() {
        let mut code = vec![0x90; 64];
        code[8..21].copy_from_slice(&BEGIN);
        code[32..36].copy_from_slice(&LANDING);
        code[36..49].copy_from_slice(&BEGIN);
        let segments = [Some(Segment { address: 0x1000, bytes: &code, size: 64 }), None];
        let at = |address| function(&segments, address);
        assert_eq!(at(0x1008), Some(0x1008));
        assert_eq!(at(0x1020), Some(0x1024), "what may be jumped to stays");
        for other in [0, 0xfff, 0x1000, 0x1009, 0x1030, 0x103f, 0x1040, u64::MAX] {
            assert_eq!(at(other), None, "{other:#x}");
        }
    }
}
