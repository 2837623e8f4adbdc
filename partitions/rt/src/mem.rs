// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory that others may change under us: shared memory, rings, device registers, the vCPU page.
//!
//! It is reached by volatile loads and stores within checked bounds, never through a reference:
//! a reference would promise the compiler that nobody else writes there.

/// A range of this partition's address space that others may change.
///
/// Holding one means that the range is mapped readable (and writable, if its maker said so), for
/// as long as the partition runs: it comes from the information pages, which the tool wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volatile {
    address: u64,
    bytes: u64,
}

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

    /// Copies out what begins at `offset`; `None`, and nothing is copied, if that is not all within.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        let part = self.part(offset, into.len() as u64)?;
        let (head, rest) = into.split_at_mut_checked(part.head())?;
        for (at, byte) in (0..).zip(&mut *head) {
            *byte = part.load_u8(at)?;
        }
        let (words, tail) = rest.as_chunks_mut::<8>();
        let first = (part.address + head.len() as u64) as *const u64;
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: so many bytes lie behind `first`, within `part`; it is aligned after the head.
            let at = unsafe { first.add(index) };
            // SAFETY: as above; the range is mapped.
            *word = unsafe { at.read_volatile() }.to_ne_bytes();
        }
        let behind = (head.len() + 8 * words.len()) as u64;
        for (at, byte) in (behind..).zip(tail) {
            *byte = part.load_u8(at)?;
        }
        Some(())
    }

    /// Copies in, from `offset` on; `None`, and nothing is copied, if that is not all within.
    pub fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        let part = self.part(offset, from.len() as u64)?;
        let (head, rest) = from.split_at_checked(part.head())?;
        for (at, byte) in (0..).zip(head) {
            part.store_u8(at, *byte)?;
        }
        let (words, tail) = rest.as_chunks::<8>();
        let first = (part.address + head.len() as u64) as *mut u64;
        for (index, word) in words.iter().enumerate() {
            // SAFETY: so many bytes lie behind `first`, within `part`; it is aligned after the head.
            let at = unsafe { first.add(index) };
            // SAFETY: as above; as for stores, see `access`.
            unsafe { at.write_volatile(u64::from_ne_bytes(*word)) };
        }
        let behind = (head.len() + 8 * words.len()) as u64;
        for (at, byte) in (behind..).zip(tail) {
            part.store_u8(at, *byte)?;
        }
        Some(())
    }

    /// How many bytes come before the first that is aligned as a word, at most all.
    fn head(&self) -> usize {
        (self.address.wrapping_neg() % 8).min(self.bytes) as usize
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
        let memory = range(64);
        let bytes: [u8; 21] = core::array::from_fn(|n| n as u8 + 1);
        for offset in 0..16 {
            let mut back = [0; 21];
            memory.write(offset, &bytes).unwrap();
            memory.read(offset, &mut back).unwrap();
            assert_eq!(back, bytes);
        }
        assert_eq!(memory.write(60, &bytes), None);
    }
}
