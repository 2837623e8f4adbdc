// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The arena of kernel objects: memory that the resolver has sized, carved once at boot.

use core::sync::atomic::AtomicU64;

/// What is left of the arena.
#[derive(Debug)]
pub(crate) struct Carver {
    next: u64,
    end: u64,
}

impl Carver {
    /// Takes over a range.
    ///
    /// # Safety
    /// The range is RAM, mapped one to one and writable, and nobody else's for ever.
    pub(crate) unsafe fn new(start: u64, bytes: u64) -> Carver {
        Carver { next: start, end: start.saturating_add(bytes) }
    }

    /// Takes `bytes` at a multiple of `align`.
    fn carve(&mut self, bytes: u64, align: u64) -> Option<u64> {
        let start = self.next.checked_next_multiple_of(align)?;
        let end = start.checked_add(bytes)?;
        if end > self.end {
            return None;
        }
        self.next = end;
        Some(start)
    }
}

impl parzelle_core::machine::Arena for Carver {
    fn take<T: 'static>(
        &mut self,
        count: usize,
        mut make: impl FnMut(&mut Self, usize) -> Option<T>,
    ) -> Option<&'static mut [T]> {
        let bytes = (size_of::<T>() as u64).checked_mul(count as u64)?;
        let first = self.carve(bytes, align_of::<T>() as u64)? as *mut T;
        for index in 0..count {
            let value = make(self, index)?;
            // SAFETY: within the range just carved, which is nobody else's (`new`).
            let slot = unsafe { first.add(index) };
            // SAFETY: aligned by `carve`, writable by `new`.
            unsafe { slot.write(value) };
        }
        // SAFETY: `count` objects were written there, and the range was given out only once.
        Some(unsafe { core::slice::from_raw_parts_mut(first, count) })
    }

    fn trace(&mut self, address: u64, bytes: u64) -> Option<&'static [AtomicU64]> {
        if address == 0 || !address.is_multiple_of(8) {
            return None;
        }
        // SAFETY: the plan names a ring of so many bytes that EL2 maps writable, a core's own; it
        // stays for ever, and whoever reads it expects it to change.
        Some(unsafe { core::slice::from_raw_parts(address as *const AtomicU64, bytes as usize / 8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_core::machine::Arena;

    #[test]
    fn objects_are_aligned_apart_and_bounded() {
        let memory = vec![0u64; 64].leak();
        let start = memory.as_mut_ptr() as u64;
        // SAFETY: leaked memory of the test's own.
        let mut carver = unsafe { Carver::new(start, 64) };
        let bytes = carver.take(3, |_, index| Some(index as u8)).unwrap();
        assert_eq!(bytes, [0, 1, 2]);
        let words = carver.take(7, |_, index| Some(index as u64)).unwrap();
        assert_eq!(words.as_ptr() as u64, start + 8);
        assert!(carver.take(1, |_, _| Some(0u8)).is_none());
        assert_eq!(bytes, [0, 1, 2]);
    }

    #[test]
    fn rings_are_sized_by_their_bytes() {
        let memory = vec![0u64; 512].leak();
        // SAFETY: as above.
        let mut carver = unsafe { Carver::new(0, 0) };
        assert_eq!(carver.trace(memory.as_mut_ptr() as u64, 4096).unwrap().len(), 512);
        assert!(carver.trace(0, 4096).is_none());
    }
}
