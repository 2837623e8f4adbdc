// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A core's state, and what it is asked.

use crate::machine::{Fault, Machine};
use parzelle_abi::aarch64::GuestExit;

/// What the cores share.
pub struct Shared {}

/// What a core owns beside its machine.
pub struct CoreData {}

/// A core.
pub struct CoreState<M: Machine> {
    /// The processor.
    pub machine: M,
}

impl<M: Machine> CoreState<M> {
    /// Joins a core's objects with its processor.
    pub fn new(_shared: &'static Shared, _data: &'static mut CoreData, machine: M) -> Self {
        CoreState { machine }
    }

    /// Begins the first frame at `epoch` (nanoseconds since boot, the same on all cores).
    pub fn start(&mut self, _epoch: u64) {}

    /// A kernel call of the current vCPU's host context.
    #[inline]
    pub fn on_call(&mut self, _number: u64, _arguments: [u64; 5]) {}

    /// A fault of the current vCPU's host context.
    pub fn on_fault(&mut self, _fault: Fault) {}

    /// An interrupt of a device: the machine has acknowledged and ended it.
    pub fn on_line(&mut self, _line: u32) {}

    /// The armed time has come.
    pub fn on_timer(&mut self) {}

    /// Another core asked to look.
    pub fn on_kick(&mut self) {}

    /// The current vCPU's guest context must be left.
    pub fn on_guest_exit(&mut self, _exit: GuestExit) {}

    /// The vCPU to return to (index in the plan), or `None`: wait for an interrupt.
    #[inline]
    pub fn current(&self) -> Option<u32> {
        None
    }
}
