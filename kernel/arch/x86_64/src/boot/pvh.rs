// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a PVH loader hands over (`xen/include/public/arch-x86/hvm/start_info.h`).

use super::physical::Physical;
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
/// Entry type: RAM that we may use.
const RAM: u32 = 1;
/// More entries than firmware ever gives.
const ENTRIES_MAX: u32 = 256;

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Raw {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    map: u64,
    map_entries: u32,
    reserved: u32,
}

/// An entry of the memory map.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Entry {
    address: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

/// The start info.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartInfo {
    /// Where ACPI's root pointer lies; 0 if the loader doesn't know.
    pub(crate) rsdp: u64,
    map: &'static [Entry],
}

impl StartInfo {
    /// Reads the start info at `address`. `None` if it isn't one, or has no memory map.
    pub(crate) fn read(memory: &impl Physical, address: u64) -> Option<StartInfo> {
        let bytes = memory.bytes(address, size_of::<Raw>() as u64)?;
        let raw = Raw::read_from_bytes(bytes).ok()?;
        if raw.magic != MAGIC || raw.version == 0 || raw.map_entries > ENTRIES_MAX {
            return None;
        }
        let length = u64::from(raw.map_entries) * size_of::<Entry>() as u64;
        let map = <[Entry]>::ref_from_bytes(memory.bytes(raw.map, length)?).ok()?;
        Some(StartInfo { rsdp: raw.rsdp, map })
    }

    /// Whether the whole range is RAM. Entries may touch one another, in any order.
    pub(crate) fn is_ram(&self, address: u64, bytes: u64) -> bool {
        let Some(end) = address.checked_add(bytes) else {
            return false;
        };
        let mut at = address;
        // Each round that goes on uses up an entry.
        for _ in 0..=self.map.len() {
            if at >= end {
                return true;
            }
            let holds = |entry: &&Entry| entry.kind == RAM && entry.address <= at && at - entry.address < entry.bytes;
            match self.map.iter().find(holds) {
                Some(entry) => at = entry.address.saturating_add(entry.bytes),
                None => return false,
            }
        }
        at >= end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(map: &[(u64, u64, u32)]) -> StartInfo {
        let entries: Vec<Entry> =
            map.iter().map(|&(address, bytes, kind)| Entry { address, bytes, kind, reserved: 0 }).collect();
        StartInfo { rsdp: 0, map: entries.leak() }
    }

    #[test]
    fn ram_is_what_entries_cover_together() {
        let info =
            info(&[(0x10_0000, 0x10_0000, 1), (0, 0xa_0000, 1), (0x20_0000, 0x1000, 1), (0xa_0000, 0x6_0000, 2)]);
        assert!(info.is_ram(0, 0xa_0000));
        assert!(info.is_ram(0x1f_f000, 0x2000));
        assert!(info.is_ram(0x20_0fff, 1));
        assert!(info.is_ram(0x5_0000, 0));
        assert!(!info.is_ram(0x20_0fff, 2));
        assert!(!info.is_ram(0x9_f000, 0x2000));
        assert!(!info.is_ram(0xa_0000, 1));
        assert!(!info.is_ram(u64::MAX, 2));
    }

    struct One(&'static [u8]);

    impl Physical for One {
        fn bytes(&self, address: u64, length: u64) -> Option<&'static [u8]> {
            self.0.get(address as usize..(address + length) as usize)
        }
    }

    #[test]
    fn what_is_not_start_info_is_refused() {
        let mut words = vec![0u64; 16];
        words[0] = u64::from(MAGIC) | 1 << 32;
        words[4] = 0x1234;
        words[5] = 56;
        words[6] = 1;
        words[7] = 0x10_0000;
        words[8] = 0x1000;
        words[9] = 1;
        let bytes: &'static [u8] = zerocopy::IntoBytes::as_bytes(words.leak() as &[u64]);
        let read = StartInfo::read(&One(bytes), 0).unwrap();
        assert_eq!(read.rsdp, 0x1234);
        assert!(read.is_ram(0x10_0000, 0x1000));
        for byte in 0..4 {
            let mut wrong = bytes.to_vec();
            wrong[byte] ^= 1;
            assert!(StartInfo::read(&One(wrong.leak()), 0).is_none());
        }
        assert!(StartInfo::read(&One(&bytes[..70]), 0).is_none());
    }
}
