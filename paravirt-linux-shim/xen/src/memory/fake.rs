// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Guest memory on the host, for tests of this crate and of shims.

#![allow(clippy::unwrap_used, reason = "a panic here is the verdict of a test")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::{Arguments, Frames, Page};
use crate::abi::Errno;

/// A frame.
#[derive(Clone, Debug)]
pub struct FakePage(Arc<[AtomicU64; 512]>);

impl Default for FakePage {
    fn default() -> Self {
        Self(Arc::new([const { AtomicU64::new(0) }; 512]))
    }
}

impl FakePage {
    /// Changes `size` bytes at `at` and gives what was there.
    fn change(&self, at: usize, size: usize, change: impl Fn(u64) -> Option<u64>) -> Result<u64, u64> {
        assert!(at.is_multiple_of(size) && at < 4096, "word of {size} at {at:#x}");
        let shift = at % 8 * 8;
        let mask = u64::MAX >> (64 - 8 * size) << shift;
        let part = |word: u64| (word & mask) >> shift;
        let merge = |word: u64| Some((word & !mask) | (change(part(word))? << shift & mask));
        let result = self.0[at / 8].fetch_update(Ordering::SeqCst, Ordering::SeqCst, merge);
        result.map(part).map_err(part)
    }

    fn update(&self, at: usize, size: usize, change: impl Fn(u64) -> u64) -> u64 {
        self.change(at, size, |old| Some(change(old))).unwrap()
    }

    fn load(&self, at: usize, size: usize) -> u64 {
        self.update(at, size, |old| old)
    }
}

impl Page for FakePage {
    fn load8(&self, at: usize) -> u8 {
        self.load(at, 1) as u8
    }
    fn store8(&self, at: usize, value: u8) {
        self.update(at, 1, |_| value.into());
    }
    fn load32(&self, at: usize) -> u32 {
        self.load(at, 4) as u32
    }
    fn store32(&self, at: usize, value: u32) {
        self.update(at, 4, |_| value.into());
    }
    fn set32(&self, at: usize, bits: u32) -> u32 {
        self.update(at, 4, |old| old | u64::from(bits)) as u32
    }
    fn clear32(&self, at: usize, bits: u32) -> u32 {
        self.update(at, 4, |old| old & !u64::from(bits)) as u32
    }
    fn exchange32(&self, at: usize, expected: u32, new: u32) -> Result<(), u32> {
        let exchange = |old| (old == u64::from(expected)).then_some(new.into());
        self.change(at, 4, exchange).map(|_| ()).map_err(|old| old as u32)
    }
    fn load64(&self, at: usize) -> u64 {
        self.load(at, 8)
    }
    fn store64(&self, at: usize, value: u64) {
        self.update(at, 8, |_| value);
    }
    fn set64(&self, at: usize, bits: u64) -> u64 {
        self.update(at, 8, |old| old | bits)
    }
    fn clear64(&self, at: usize, bits: u64) -> u64 {
        self.update(at, 8, |old| old & !bits)
    }
    fn copy_out(&self, at: usize, into: &mut [u8]) {
        for (at, byte) in (at..).zip(into) {
            *byte = self.0.get(at / 8).map_or(0, |word| (word.load(Ordering::Relaxed) >> (at % 8 * 8)) as u8);
        }
    }
    fn copy_in(&self, at: usize, from: &[u8]) {
        for (at, byte) in (at..4096).zip(from) {
            let (word, shift) = (&self.0[at / 8], at % 8 * 8);
            let rest = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(rest | u64::from(*byte) << shift, Ordering::Relaxed);
        }
    }
}

/// A guest's frames.
#[derive(Clone, Debug, Default)]
pub struct FakeFrames(pub Vec<FakePage>);

impl FakeFrames {
    /// So many of them.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| FakePage::default()).collect())
    }
}

impl Frames for FakeFrames {
    type Page = FakePage;

    fn page(&self, frame: u64) -> Option<FakePage> {
        self.0.get(usize::try_from(frame).ok()?).cloned()
    }
}

/// Virtual memory: single bytes at any address. What was never mapped faults.
#[derive(Debug, Default)]
pub struct FakeArguments(Mutex<BTreeMap<u64, u8>>);

impl FakeArguments {
    /// Makes memory of this size there, zeroed.
    pub fn map(&self, address: u64, bytes: u64) {
        self.0.lock().unwrap().extend((address..address + bytes).map(|at| (at, 0)));
    }

    /// Puts bytes there, mapped or not.
    pub fn place(&self, address: u64, bytes: &[u8]) {
        self.0.lock().unwrap().extend((address..).zip(bytes.iter().copied()));
    }
}

impl Arguments for FakeArguments {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        let memory = self.0.lock().unwrap();
        for (offset, byte) in (0..).zip(into) {
            *byte = *memory.get(&address.wrapping_add(offset)).ok_or(Errno::Fault)?;
        }
        Ok(())
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        let mut memory = self.0.lock().unwrap();
        for (offset, byte) in (0..).zip(from) {
            *memory.get_mut(&address.wrapping_add(offset)).ok_or(Errno::Fault)? = *byte;
        }
        Ok(())
    }
}
