// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A machine for tests: it does nothing by itself and remembers everything it was told.
//!
//! It is hostile to lazy code: time advances by a nanosecond with every reading, copies outside
//! of the memory it was given panic, and so does speaking of "the current vCPU" when none is loaded.

use super::{Arena, Halt, Machine, Upcall};
use core::sync::atomic::AtomicU64;
use parzelle_abi::NEVER;
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::call::Error;
use parzelle_abi::vcpu_page::VcpuHead;
use parzelle_plan::{AccessRecord, VcpuRecord};
use std::collections::{BTreeMap, BTreeSet};

/// Kernel objects from the host's heap, never given back; counts what it gave.
#[derive(Default)]
pub struct Heap {
    /// Bytes given so far, alignment included.
    pub bytes: usize,
}

impl Arena for Heap {
    fn take<T: 'static>(
        &mut self,
        count: usize,
        mut make: impl FnMut(&mut Self, usize) -> Option<T>,
    ) -> Option<&'static mut [T]> {
        self.bytes = self.bytes.next_multiple_of(align_of::<T>()) + count * size_of::<T>();
        let mut objects = Vec::with_capacity(count);
        for index in 0..count {
            objects.push(make(self, index)?);
        }
        Some(Box::leak(objects.into_boxed_slice()))
    }

    fn trace(&mut self, _address: u64, bytes: u64) -> Option<&'static [AtomicU64]> {
        Some(Vec::leak((0..bytes / 8).map(|_| AtomicU64::new(0)).collect()))
    }
}

/// What the fake knows of a vCPU's context.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Program counter and stack of its latest start.
    pub started: Option<(u64, u64)>,
    /// Results of calls, in order.
    pub results: Vec<(u64, u64)>,
    /// Upcalls entered and not resumed.
    pub upcalls: Vec<Upcall>,
    /// Whether upcalls are masked.
    pub masked: bool,
    /// Whether it is in its guest.
    pub guest: bool,
    /// Guest exits.
    pub exits: Vec<GuestExit>,
    /// Planned window starts it was told.
    pub windows: Vec<u64>,
    /// Generation at its latest start.
    pub generation: u64,
}

/// The machine.
#[derive(Default)]
pub struct Fake {
    /// Now, in nanoseconds.
    pub time: u64,
    /// When the timer fires.
    pub armed: u64,
    /// The vCPU whose context is loaded.
    pub loaded: Option<u32>,
    /// All contexts.
    pub contexts: BTreeMap<u32, Context>,
    /// Lines that are unmasked.
    pub open: BTreeSet<u32>,
    /// Cores that were kicked.
    pub kicked: Vec<u32>,
    /// Is called with each kick, at once.
    pub wire: Option<Box<dyn FnMut(u32)>>,
    /// Memory, by physical address.
    pub memory: BTreeMap<u64, u8>,
    /// How the module ended.
    pub halted: Option<Halt>,
    /// Switches done.
    pub switches: u64,
    /// Caches emptied.
    pub flushes: u64,
    /// What the next time takes, in nanoseconds.
    pub flush_takes: u64,
    /// vCPUs started, in order.
    pub starts: Vec<u32>,
    /// Devices silenced.
    pub quiesced: Vec<u64>,
    /// By partition: units of what its guest has made of kernel objects.
    pub made: BTreeMap<u32, u32>,
    /// What was done about partitions that end, in order.
    pub ends: Vec<End>,
}

/// A step of a partition's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A vCPU of this partition was stopped.
    Stopped(u32),
    /// A device of it was silenced.
    Silenced,
    /// A unit of what its guest had made was forgotten; so many are left.
    Forgot(u32),
}

impl Fake {
    /// A machine at time 0.
    pub fn new() -> Fake {
        Fake { armed: NEVER, ..Fake::default() }
    }

    /// The current vCPU's context.
    ///
    /// # Panics
    /// When none is loaded: the core must not speak of it then.
    pub fn context(&mut self) -> &mut Context {
        match self.loaded {
            Some(vcpu) => self.contexts.entry(vcpu).or_default(),
            None => unreachable!("the core speaks of the current vCPU, but none is loaded"),
        }
    }

    /// The last result of a vCPU's calls.
    pub fn result(&self, vcpu: u32) -> Option<(u64, u64)> {
        self.contexts.get(&vcpu)?.results.last().copied()
    }

    /// Puts bytes into memory.
    pub fn poke(&mut self, address: u64, bytes: &[u8]) {
        self.memory.extend(bytes.iter().enumerate().map(|(offset, &byte)| (address + offset as u64, byte)));
    }

    /// Reads bytes from memory; what was never written reads as 0.
    pub fn peek(&self, address: u64, bytes: usize) -> Vec<u8> {
        (0..bytes as u64).map(|offset| self.memory.get(&(address + offset)).copied().unwrap_or(0)).collect()
    }
}

impl Machine for Fake {
    fn now(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    fn arm(&mut self, at: u64) {
        self.armed = at;
    }

    fn kick(&mut self, core: u32) {
        match &mut self.wire {
            Some(wire) => wire(core),
            None => self.kicked.push(core),
        }
    }

    fn switch(&mut self, number: u32, _to: &VcpuRecord) {
        assert_ne!(self.loaded, Some(number), "a switch to the same context");
        self.loaded = Some(number);
        self.switches += 1;
    }

    fn start(&mut self, entry: u64, stack: u64, _arguments: [u64; 2], head: &VcpuHead) {
        let generation = head.generation;
        self.starts.extend(self.loaded);
        *self.context() = Context { started: Some((entry, stack)), generation, ..Context::default() };
    }

    fn set_result(&mut self, status: u64, value: u64) {
        let context = self.context();
        assert!(!context.guest, "a result for a guest");
        context.results.push((status, value));
    }

    fn upcalls_masked(&mut self) -> bool {
        self.context().masked
    }

    fn enter_upcall(&mut self, upcall: &Upcall, keep_frame: bool) {
        let context = self.context();
        if keep_frame {
            context.upcalls.pop();
        }
        context.upcalls.push(*upcall);
        context.masked = true;
    }

    fn resume_frame(&mut self) {
        let context = self.context();
        context.upcalls.pop();
        context.masked = false;
    }

    fn set_window_start(&mut self, start: u64) {
        self.context().windows.push(start);
    }

    fn in_guest(&self) -> bool {
        self.loaded.and_then(|vcpu| self.contexts.get(&vcpu)).is_some_and(|context| context.guest)
    }

    fn enter_guest(&mut self) -> Result<(), Error> {
        self.context().guest = true;
        Ok(())
    }

    fn leave_guest(&mut self, exit: GuestExit) {
        let context = self.context();
        assert!(context.guest, "left a guest that was not entered");
        context.guest = false;
        context.exits.push(exit);
    }

    fn copy(&mut self, to: u64, from: u64, bytes: u32) {
        let bytes = self.peek(from, bytes as usize);
        self.poke(to, &bytes);
    }

    fn write(&mut self, to: u64, bytes: &[u8]) {
        self.poke(to, bytes);
    }

    fn mask_line(&mut self, line: u32) {
        self.open.remove(&line);
    }

    fn unmask_line(&mut self, line: u32) {
        self.open.insert(line);
    }

    fn flush(&mut self) {
        self.time += self.flush_takes;
        self.flushes += 1;
    }

    fn quiesce(&mut self, access: &AccessRecord) {
        self.quiesced.push(access.address);
        self.ends.push(End::Silenced);
    }

    fn stopped(&mut self, vcpu: &VcpuRecord) {
        self.ends.push(End::Stopped(vcpu.partition));
    }

    fn reset(&mut self, partition: u32) -> bool {
        let Some(left) = self.made.get_mut(&partition).filter(|left| **left > 0) else { return false };
        *left -= 1;
        self.ends.push(End::Forgot(*left));
        true
    }

    fn halt(&mut self, how: Halt) {
        self.halted.get_or_insert(how);
    }
}
