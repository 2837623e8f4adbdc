// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A walk of the guest's own page tables: from a virtual address of the guest to a guest physical
//! one.
//!
//! Needed to read the instruction of an access that the processor doesn't describe. After the Arm
//! ARM (DDI 0487), D8.2 "Translation process": 4, 16 and 64 KiB granules, up to 48 bits, EL1's
//! regime.
//!
//! ```text
//!   address  │ … │ index 1 │ index 2 │ index 3 │ offset │      each index: granule bits − 3
//!                     ▼         ▼         ▼
//!             root ─▶ table ─▶ table ─▶ page, or a block earlier
//! ```
//! The guest may change its tables while we look: whatever comes out only decides what this guest's
//! board does.

/// The registers that say where the guest's tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// `TCR_EL1`.
    pub control: u64,
    /// `TTBR0_EL1` (lower addresses) and `TTBR1_EL1` (upper ones).
    pub roots: [u64; 2],
}

impl Tables {
    /// Finds the guest physical address of `address`. `read` reads a double word of guest memory at
    /// an (aligned) guest physical address. Nothing if it isn't mapped, or in a way that we don't
    /// know.
    #[must_use]
    pub fn walk(&self, address: u64, mut read: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
        // Bit 55 chooses the half, also for tagged addresses.
        let upper = address >> 55 & 1 == 1;
        let half = if upper { self.control >> 16 } else { self.control };
        let granule = match (upper, half >> 14 & 3) {
            (false, 0) | (true, 2) => 12,
            (false, 2) | (true, 1) => 14,
            (false, 1) | (true, 3) => 16,
            _ => return None,
        };
        let bits = 64 - (half & 0x3f) as u32;
        let disabled = half >> 7 & 1 == 1;
        if disabled || !(25..=48).contains(&bits) {
            return None;
        }
        let stride = granule - 3;
        let within = address & ((1 << bits) - 1);
        let mut table = self.roots[usize::from(upper)] & 0x0000_ffff_ffff_fffe;
        for level in (0..(bits - granule).div_ceil(stride)).rev() {
            let shift = granule + stride * level;
            let index = within >> shift & ((1 << stride) - 1);
            let descriptor = read((table & !7).checked_add(8 * index)?)?;
            let output = descriptor & 0x0000_ffff_ffff_ffff;
            match (descriptor & 0b11, level) {
                (0b11, 0) | (0b01, 1..) => {
                    return Some(output >> shift << shift | within & ((1 << shift) - 1));
                }
                (0b11, _) => table = output >> granule << granule,
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::HashMap;

    /// Linux's usual set-up: 48 bits in both halves, 4 KiB granules.
    const LINUX: Tables = Tables { control: 16 | 16 << 16 | 2 << 30, roots: [0x4100_0001, 0x4200_0000 | 7 << 48] };

    #[test]
    fn follows_tables_to_pages_and_blocks() {
        let memory: HashMap<u64, u64> = [
            (0x4200_0000 + 8 * 0x100, 0x4300_0003),
            (0x4300_0000, 0x4400_0003),
            (0x4400_0000 + 8 * 0x40, 0x4500_0003),
            (0x4400_0000 + 8 * 0x41, 0x0078_0000_5020_0f11 & !0b10),
            (0x4500_0000 + 8 * 0x10, 0x0060_0000_5001_0f03),
        ]
        .into();
        let walk = |address| LINUX.walk(address, |at| memory.get(&at).copied());
        assert_eq!(walk(0xffff_8000_0801_0abc), Some(0x5001_0abc), "a page");
        assert_eq!(walk(0xffff_8000_0823_4568), Some(0x5023_4568), "a block of 2 MiB");
        assert_eq!(walk(0xffff_8000_0801_1000), None, "the next page");
        assert_eq!(walk(0x0000_0000_0801_0abc), None, "the lower half has other tables");
    }

    #[test]
    fn other_granules_begin_at_other_levels() {
        // 64 KiB, 42 bits: two levels; 16 KiB, 36 bits: two levels.
        let wide = Tables { control: 22 | 1 << 14, roots: [0x10_0000, 0] };
        let memory = |at| match at {
            0x10_0008 => Some(0x20_0003),
            0x20_0010 => Some(0x5000_0003),
            _ => None,
        };
        assert_eq!(wide.walk(1 << 29 | 2 << 16 | 0x1234, memory), Some(0x5000_1234));
        let middle = Tables { control: 28 | 2 << 14, roots: [0x10_0000, 0] };
        assert_eq!(middle.walk(1 << 25 | 2 << 14 | 0x1234, memory), Some(0x5000_1234));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for control in [16 | 3 << 14, 16 | 1 << 7, 0, 63] {
            assert_eq!(Tables { control, roots: [0; 2] }.walk(0, |_| Some(u64::MAX)), None, "{control:#x}");
        }
    }
}
