// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Large things that live as long as the program, without a heap and without `static mut`.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value in static memory that is handed out once, for good.
///
/// ```ignore
/// static BUFFER: Once<[u8; 4096]> = Once::new([0; 4096]);
/// let buffer = BUFFER.take().expect("only here");
/// ```
#[derive(Debug)]
pub struct Once<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `take` gives the value to one caller only, who may be on another vCPU: hence `Send`.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    /// Takes the value in.
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Hands the value out; `None` if somebody has it already.
    #[allow(clippy::mut_from_ref)] // Once only: `taken` sees to that.
    pub fn take(&'static self) -> Option<&'static mut T> {
        let first = !self.taken.swap(true, Ordering::Acquire);
        // SAFETY: only the first caller gets here, so this is the only reference.
        first.then(|| unsafe { &mut *self.value.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_gets_it() {
        static VALUE: Once<u32> = Once::new(7);
        assert_eq!(VALUE.take(), Some(&mut 7));
        assert_eq!(VALUE.take(), None);
    }
}
