// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Areas in a host's memory, for tests of whoever speaks over rings.
//!
//! It is unkind: an access outside of the area, or of a word that is not aligned, is a panic here.

use core::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::Arc;

use crate::memory::Memory;

/// An area. Its clones are the same memory: one for each side.
#[derive(Clone, Debug)]
pub struct Area(Arc<[AtomicU64]>);

impl Area {
    /// So many bytes (a multiple of 8), all zero.
    pub fn new(bytes: u64) -> Self {
        Self((0..bytes / 8).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().into())
    }

    /// Both areas of a link: what the client writes, what the server writes.
    pub fn pair(bytes: u64) -> [Self; 2] {
        [Self::new(bytes), Self::new(bytes)]
    }

    /// The word at a byte's offset.
    #[allow(clippy::indexing_slicing, reason = "an access outside is a bug that tests look for")]
    fn word(&self, offset: u64) -> &AtomicU64 {
        assert_eq!(offset % 8, 0, "word at {offset:#x}");
        &self.0[(offset / 8) as usize]
    }

    /// The words of a range: each with where its bytes of the range begin, and how many they are.
    fn pieces(&self, offset: u64, length: usize) -> impl Iterator<Item = (&AtomicU64, usize, usize)> {
        let (mut at, end) = (offset, offset + length as u64);
        core::iter::from_fn(move || {
            let (word, first) = (at & !7, at % 8);
            let bytes = (8 - first).min(end - at);
            at += bytes;
            (bytes > 0).then(|| (self.word(word), first as usize, bytes as usize))
        })
    }
}

impl Memory for Area {
    fn bytes(&self) -> u64 {
        self.0.len() as u64 * 8
    }

    fn load(&self, offset: u64) -> u64 {
        self.word(offset).load(Ordering::Relaxed)
    }

    fn load_acquire(&self, offset: u64) -> u64 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn store(&self, offset: u64, value: u64) {
        self.word(offset).store(value, Ordering::Relaxed);
    }

    fn store_release(&self, offset: u64, value: u64) {
        self.word(offset).store(value, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        let mut left = into;
        for (word, first, bytes) in self.pieces(offset, left.len()) {
            let (now, later) = left.split_at_mut(bytes);
            let word = word.load(Ordering::Relaxed).to_le_bytes();
            now.copy_from_slice(word.get(first..first + bytes)?);
            left = later;
        }
        Some(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        let mut left = from;
        for (word, first, bytes) in self.pieces(offset, left.len()) {
            let (now, later) = left.split_at(bytes);
            let mut new = word.load(Ordering::Relaxed).to_le_bytes();
            new.get_mut(first..first + bytes)?.copy_from_slice(now);
            word.store(u64::from_le_bytes(new), Ordering::Relaxed);
            left = later;
        }
        Some(())
    }
}
