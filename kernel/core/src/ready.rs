// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A set of small numbers with "first at or after" in constant time: two levels of words.
//!
//! ```text
//!   summary   …0 1 0 1        bit w: word w is not empty
//!   words     [0] [1] [2] …   bit b of word w: w × 64 + b is in the set
//! ```

use crate::machine::Arena;
use core::cell::Cell;

/// A set of numbers below its capacity, at most [`ReadySet::MAX`].
pub(crate) struct ReadySet {
    summary: Cell<u64>,
    words: &'static [Cell<u64>],
}

impl ReadySet {
    /// The largest capacity.
    pub(crate) const MAX: usize = 64 * 64;

    /// Takes the words of an empty set from the arena.
    pub(crate) fn new(arena: &mut impl Arena, capacity: usize) -> Option<ReadySet> {
        Some(ReadySet {
            summary: Cell::new(0),
            words: arena.take(capacity.div_ceil(64).max(1), |_, _| Some(Cell::new(0)))?,
        })
    }

    /// Adds a number; one beyond the capacity is ignored.
    pub(crate) fn insert(&self, number: usize) {
        if let Some(word) = self.words.get(number / 64) {
            word.set(word.get() | 1 << (number % 64));
            self.summary.set(self.summary.get() | 1 << (number / 64));
        }
    }

    /// Removes a number.
    pub(crate) fn remove(&self, number: usize) {
        if let Some(word) = self.words.get(number / 64) {
            word.set(word.get() & !(1 << (number % 64)));
            if word.get() == 0 {
                self.summary.set(self.summary.get() & !(1 << (number / 64)));
            }
        }
    }

    /// The smallest number in the set.
    pub(crate) fn first(&self) -> Option<usize> {
        self.in_words(self.summary.get())
    }

    /// The smallest number in the set that is not below `start`.
    pub(crate) fn first_from(&self, start: usize) -> Option<usize> {
        let index = start / 64;
        let word = self.words.get(index)?.get() & (u64::MAX << (start % 64));
        if word != 0 {
            return Some(index * 64 + word.trailing_zeros() as usize);
        }
        self.in_words(if index >= 63 { 0 } else { self.summary.get() & (u64::MAX << (index + 1)) })
    }

    /// The smallest number in those words that `summary` names.
    fn in_words(&self, summary: u64) -> Option<usize> {
        let index = summary.trailing_zeros() as usize;
        let word = self.words.get(index)?.get();
        (word != 0).then(|| index * 64 + word.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake::Heap;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in proptest::collection::vec((any::<bool>(), 0usize..4096), 1..200), start in 0usize..4200) {
            let set = ReadySet::new(&mut Heap::default(), ReadySet::MAX).unwrap();
            let mut model = BTreeSet::new();
            for (insert, number) in steps {
                if insert { set.insert(number); model.insert(number); } else { set.remove(number); model.remove(&number); }
                prop_assert_eq!(set.first(), model.first().copied());
                prop_assert_eq!(set.first_from(start), model.range(start..).next().copied());
            }
        }
    }
}
