// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The arena of kernel objects: typed slices, taken one after the other and never given back.

use core::mem::{align_of, size_of};
use core::sync::atomic::AtomicU64;
use parzelle_core::machine::Arena;
use zerocopy::FromZeros;

/// Memory that nobody else uses.
pub struct Memory {
    next: u64,
    end: u64,
    /// Added to a physical address to reach it.
    window: u64,
}

impl Memory {
    /// Takes over `bytes` at physical address `base`, and trace rings that lie elsewhere; all are
    /// reached at `window` + address.
    ///
    /// # Safety
    /// The memory is mapped there, writable, for ever; it is RAM; nobody else uses it. The same
    /// holds for every range that [`Arena::trace`] is asked for.
    pub const unsafe fn new(base: u64, bytes: u64, window: u64) -> Memory {
        let next = window.wrapping_add(base);
        Memory { next, end: next.wrapping_add(bytes), window }
    }

    /// Takes one object of zeros: one that is too large to be made on a stack.
    pub fn zeroed<T: FromZeros + 'static>(&mut self) -> Option<&'static mut T> {
        let at = self.reserve::<T>(1)?;
        // SAFETY: aligned, in the arena, and taken from it only once.
        unsafe { at.write_bytes(0, 1) };
        // SAFETY: zeros are a `T`, and nobody else has the range.
        Some(unsafe { &mut *at })
    }

    /// Takes memory for `count` objects.
    fn reserve<T>(&mut self, count: usize) -> Option<*mut T> {
        let first = self.next.checked_next_multiple_of(align_of::<T>() as u64)?;
        let bytes = (size_of::<T>() as u64).checked_mul(count as u64)?;
        let next = first.checked_add(bytes).filter(|&next| next <= self.end)?;
        self.next = next;
        Some(first as *mut T)
    }

    /// Takes one object.
    pub fn put<T: 'static>(&mut self, value: T) -> Option<&'static mut T> {
        let mut value = Some(value);
        self.take(1, |_, _| value.take())?.first_mut()
    }
}

impl Arena for Memory {
    fn take<T: 'static>(
        &mut self,
        count: usize,
        mut make: impl FnMut(&mut Self, usize) -> Option<T>,
    ) -> Option<&'static mut [T]> {
        let first = self.reserve::<T>(count)?;
        for index in 0..count {
            let at = first.wrapping_add(index);
            let object = make(self, index)?;
            // SAFETY: aligned, in the arena (says `reserve`), and taken from it only once.
            unsafe { at.write(object) };
        }
        // SAFETY: `count` objects were written there just now, and nobody else has the range.
        Some(unsafe { core::slice::from_raw_parts_mut(first, count) })
    }

    fn trace(&mut self, address: u64, bytes: u64) -> Option<&'static [AtomicU64]> {
        if !address.is_multiple_of(64) {
            return None;
        }
        let at = self.window.wrapping_add(address) as *const AtomicU64;
        // SAFETY: aligned; the plan's ring, by the contract of `new`. Whoever reads it expects it to
        // change.
        Some(unsafe { core::slice::from_raw_parts(at, bytes as usize / 8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_aligned_apart_and_bounded() {
        let memory: &'static mut [u64] = Box::leak(vec![0u64; 64].into_boxed_slice());
        let base = memory.as_mut_ptr() as u64;
        // SAFETY: leaked, and not used otherwise.
        let mut arena = unsafe { Memory::new(base, 512, 0) };
        let bytes = arena.take(3, |_, index| Some(index as u8)).unwrap();
        let words = arena.take(2, |_, index| Some(index as u64 + 7)).unwrap();
        assert_eq!(bytes, [0, 1, 2]);
        assert_eq!(words, [7, 8]);
        assert_eq!(words.as_ptr() as u64, base + 8);
        assert_eq!(arena.put(5u32).copied(), Some(5));
        assert!(arena.take(100, |_, _| Some(0u64)).is_none());
        assert!(arena.take(usize::MAX, |_, _| Some(0u64)).is_none());
        assert!(arena.take(2, |_, _| Some(1u64)).is_some(), "a refusal takes nothing");
    }
}
