// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory that others may change under us: shared memory, rings, device registers, the vCPU page.
//!
//! It is reached by volatile loads and stores within checked bounds, never through a reference:
//! a reference would promise the compiler that nobody else writes there.

use zerocopy::FromBytes;

/// A range of this partition's address space that others may change.
///
/// Holding one means that the range is mapped readable (and writable, if its maker said so), for
/// as long as the partition runs: it comes from the information pages, which the tool wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volatile {
    address: u64,
    bytes: u64,
}

/// Words that copies move without a check in between, so that checks cost little.
const BLOCK: usize = 8;

/// Declares a load and a store of one width.
macro_rules! access {
    ($load:ident, $store:ident, $type:ty, $width:literal) => {
        #[doc = concat!("Loads ", $width, " at byte `offset`; `None` outside of the range or if not aligned.")]
        #[inline]
        pub fn $load(&self, offset: u64) -> Option<$type> {
            let at = self.place(offset, size_of::<$type>() as u64)? as *const $type;
            // SAFETY: `place` has proved that the bytes lie in a mapped range and are aligned.
            Some(unsafe { at.read_volatile() })
        }

        #[doc = concat!("Stores ", $width, " at byte `offset`; `None` outside of the range or if not aligned.")]
        #[inline]
        pub fn $store(&self, offset: u64, value: $type) -> Option<()> {
            let at = self.place(offset, size_of::<$type>() as u64)? as *mut $type;
            // SAFETY: as above; a store to memory that is mapped read-only is a memory violation
            // of this partition, not undefined behaviour: no reference points there.
            unsafe { at.write_volatile(value) };
            Some(())
        }
    };
}

impl Volatile {
    /// Takes the range that begins at `address`.
    ///
    /// # Safety
    /// The range is mapped for this partition (or `bytes` is 0) for as long as it runs, nothing
    /// in it is a Rust object that is reached otherwise, and any bytes are valid there.
    pub const unsafe fn new(address: u64, bytes: u64) -> Self {
        Self { address, bytes }
    }

    /// A range without any bytes.
    pub const EMPTY: Self = Self { address: 0, bytes: 0 };

    /// Where it begins.
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    pub const fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// A part of it; `None` if that is not all within.
    pub fn part(&self, offset: u64, bytes: u64) -> Option<Volatile> {
        let end = offset.checked_add(bytes)?;
        (end <= self.bytes).then_some(Volatile { address: self.address + offset, bytes })
    }

    /// The address of `bytes` aligned bytes at `offset`.
    #[inline]
    fn place(&self, offset: u64, bytes: u64) -> Option<usize> {
        let at = self.part(offset, bytes)?.address;
        at.is_multiple_of(bytes).then_some(at as usize)
    }

    access!(load_u8, store_u8, u8, "a byte");
    access!(load_u16, store_u16, u16, "16 bits");
    access!(load_u32, store_u32, u32, "32 bits");
    access!(load_u64, store_u64, u64, "64 bits");

    /// Copies out what begins at `offset`; `None` if that is not all within. Fastest if `into` and
    /// what is copied begin in the same place of a word: best both at a multiple of 8.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        let part = self.part(offset, into.len() as u64)?;
        let (head, rest) = into.split_at_mut(part.before_words());
        let mut at = 0;
        for byte in head {
            *byte = part.load_u8(at)?;
            at += 1;
        }
        let (words, tail) = rest.split_at_mut(rest.len() & !7);
        if let Ok(words) = <[u64]>::mut_from_bytes(words) {
            let (blocks, words) = words.as_chunks_mut::<BLOCK>();
            for block in blocks {
                let from = part.place(at, size_of::<u64>() as u64)? as *const u64;
                for (number, word) in block.iter_mut().enumerate() {
                    let from = from.wrapping_add(number);
                    // SAFETY: the block lies within the slice that is copied to, so its words lie
                    // within `part`, which is as long; `place` has proved that the first is aligned.
                    *word = unsafe { from.read_volatile() };
                }
                at += size_of_val(block) as u64;
            }
            for word in words {
                *word = part.load_u64(at)?;
                at += 8;
            }
        } else {
            for bytes in words.as_chunks_mut::<8>().0 {
                *bytes = part.load_u64(at)?.to_ne_bytes();
                at += 8;
            }
        }
        for byte in tail {
            *byte = part.load_u8(at)?;
            at += 1;
        }
        Some(())
    }

    /// Copies in, from `offset` on; `None` if that is not all within. As fast as [`Self::read`].
    pub fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        let part = self.part(offset, from.len() as u64)?;
        let (head, rest) = from.split_at(part.before_words());
        let mut at = 0;
        for byte in head {
            part.store_u8(at, *byte)?;
            at += 1;
        }
        let (words, tail) = rest.split_at(rest.len() & !7);
        if let Ok(words) = <[u64]>::ref_from_bytes(words) {
            let (blocks, words) = words.as_chunks::<BLOCK>();
            for block in blocks {
                let to = part.place(at, size_of::<u64>() as u64)? as *mut u64;
                for (number, word) in block.iter().enumerate() {
                    let to = to.wrapping_add(number);
                    // SAFETY: as in `read`; of a store to read-only memory, see `store_u64`.
                    unsafe { to.write_volatile(*word) };
                }
                at += size_of_val(block) as u64;
            }
            for word in words {
                part.store_u64(at, *word)?;
                at += 8;
            }
        } else {
            for bytes in words.as_chunks::<8>().0 {
                part.store_u64(at, u64::from_ne_bytes(*bytes))?;
                at += 8;
            }
        }
        for byte in tail {
            part.store_u8(at, *byte)?;
            at += 1;
        }
        Some(())
    }

    /// How many bytes of it lie before the first word of 8 bytes.
    fn before_words(&self) -> usize {
        self.address.wrapping_neg().wrapping_rem(8).min(self.bytes) as usize
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A range over a buffer that lives forever.
    pub(crate) fn range(bytes: usize) -> Volatile {
        extern crate std;
        let words = std::vec![0u64; bytes.div_ceil(8)].leak();
        // SAFETY: leaked, 8-byte aligned, and reached only through the range from here on.
        unsafe { Volatile::new(words.as_mut_ptr() as u64, bytes as u64) }
    }

    #[test]
    fn bounds_and_alignment_are_checked() {
        let memory = range(32);
        assert_eq!(memory.store_u64(24, 7), Some(()));
        assert_eq!(memory.load_u64(24), Some(7));
        assert_eq!(memory.load_u64(25), None);
        assert_eq!(memory.load_u32(30), None);
        assert_eq!(memory.load_u8(32), None);
        assert_eq!(memory.part(u64::MAX, 2), None);
    }

    #[test]
    fn copies_keep_every_byte_at_any_offset() {
        let memory = range(300);
        let bytes: [u8; 213] = core::array::from_fn(|n| n as u8 + 1);
        for (offset, length) in (0..20).flat_map(|offset| [0, 1, 7, 21, 64, 71, 128, 213].map(|n| (offset, n))) {
            let mut back = [0; 214];
            memory.store_u8(offset + length as u64, 99).unwrap();
            memory.write(offset, &bytes[..length]).unwrap();
            memory.read(offset, &mut back[..length]).unwrap();
            assert_eq!((&back[..length], back[length]), (&bytes[..length], 0));
            assert_eq!(memory.load_u8(offset + length as u64), Some(99));
        }
        assert_eq!(memory.write(100, &bytes), None);
        assert_eq!(memory.read(100, &mut [0; 213]), None);
    }
}
