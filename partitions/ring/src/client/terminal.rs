// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A console as `embedded-io`'s streams.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use super::Doorbells;
use crate::Memory;
use crate::console::{Console, Window};

/// A console whose reads and writes wait. It has no errors: without a peer, it waits for one.
#[derive(Debug)]
pub struct Terminal<M, B> {
    console: Console<M>,
    bells: B,
}

impl<M: Memory, B: Doorbells> Terminal<M, B> {
    /// Takes an end of a console.
    pub fn new(console: Console<M>, bells: B) -> Self {
        Self { console, bells }
    }

    /// How large the peer's window is, as it says.
    pub fn window(&self) -> Window {
        self.console.window()
    }

    /// Wakes the peer, if need be.
    fn notify(&mut self) {
        if self.console.notify() {
            self.bells.ring();
        }
    }

    /// Wakes it, and sleeps until it has done something.
    fn pause(&mut self) {
        self.notify();
        if self.console.may_sleep() {
            self.bells.wait();
        }
    }
}

impl<M, B> ErrorType for Terminal<M, B> {
    type Error = Infallible;
}

impl<M: Memory, B: Doorbells> Read for Terminal<M, B> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            let count = self.console.read(into);
            if count > 0 || into.is_empty() {
                self.notify();
                return Ok(count);
            }
            self.pause();
        }
    }
}

impl<M: Memory, B: Doorbells> ReadReady for Terminal<M, B> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.console.waiting() > 0)
    }
}

impl<M: Memory, B: Doorbells> Write for Terminal<M, B> {
    fn write(&mut self, from: &[u8]) -> Result<usize, Infallible> {
        loop {
            let count = self.console.write(from);
            if count > 0 || from.is_empty() {
                self.notify();
                return Ok(count);
            }
            // Input that waits is no reason to stay awake: only room is.
            self.notify();
            if self.console.may_sleep_for_room() {
                self.bells.wait();
            }
        }
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        // What is written lies in the ring: the peer has it when it wants it.
        self.notify();
        Ok(())
    }
}

impl<M: Memory, B: Doorbells> WriteReady for Terminal<M, B> {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.console.room() > 0)
    }
}
