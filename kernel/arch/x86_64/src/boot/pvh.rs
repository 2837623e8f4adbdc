// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a PVH loader hands over (`xen/include/public/arch-x86/hvm/start_info.h`).

use super::acpi::number;
use super::physical::Physical;

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u64 = 0x336e_c578;
/// Entry type: RAM that we may use.
const RAM: u64 = 1;
/// More entries than firmware ever gives.
const ENTRIES_MAX: u64 = 256;

/// Bytes of the start info, version 1, and of an entry of the memory map.
const BYTES: u64 = 56;
const ENTRY: u64 = 24;

/// The start info.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartInfo {
    /// Where ACPI's root pointer lies; 0 if the loader doesn't know.
    pub(crate) rsdp: u64,
    /// Entries: address, bytes, kind (32 bits), 32 bits that mean nothing.
    map: &'static [u8],
}

impl StartInfo {
    /// Reads the start info at `address`. `None` if it isn't one, or has no memory map.
    pub(crate) fn read(memory: &impl Physical, address: u64) -> Option<StartInfo> {
        let bytes = memory.bytes(address, BYTES)?;
        let [magic, version, entries] = [0, 4, 48].map(|at| number(bytes, at, 4));
        if magic != MAGIC || version == 0 || entries > ENTRIES_MAX {
            return None;
        }
        let map = memory.bytes(number(bytes, 40, 8), entries * ENTRY)?;
        Some(StartInfo { rsdp: number(bytes, 32, 8), map })
    }

    /// Whether the whole range is RAM. Entries may touch one another, in any order.
    pub(crate) fn is_ram(&self, address: u64, bytes: u64) -> bool {
        let Some(end) = address.checked_add(bytes) else {
            return false;
        };
        let mut at = address;
        // Each round uses up an entry: behind its end it does not hold anything.
        while at < end {
            let here = |entry: &[u8]| {
                let (address, bytes) = (number(entry, 0, 8), number(entry, 8, 8));
                let holds = number(entry, 16, 4) == RAM && address <= at && at - address < bytes;
                holds.then(|| address.saturating_add(bytes))
            };
            let Some(stop) = self.map.chunks_exact(ENTRY as usize).find_map(here) else { return false };
            at = stop;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(map: &[(u64, u64, u32)]) -> StartInfo {
        let words: Vec<u64> =
            map.iter().flat_map(|&(address, bytes, kind)| [address, bytes, u64::from(kind)]).collect();
        StartInfo { rsdp: 0, map: zerocopy::IntoBytes::as_bytes(words.leak() as &[u64]) }
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
        words[0] = MAGIC | 1 << 32;
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
