// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's console output: bytes, gathered until it is worth to call the console.

use core::fmt;

use heapless::Vec;
use parzelle_rt::logger;

/// Bytes that are gathered at most.
const BATCH: usize = 128;

/// Gathers bytes and writes them to the log ring: at a line's end, when the buffer is full, and
/// whenever [`Output::flush`] is called.
#[derive(Debug)]
pub struct Output {
    bytes: Vec<u8, BATCH>,
    /// The last byte written did not end a line.
    open: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// Nothing gathered, at the start of a line.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), open: false }
    }

    /// Takes a byte.
    pub fn put(&mut self, byte: u8) {
        if self.gather(byte) {
            self.flush();
        }
    }

    /// Takes bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(*byte));
    }

    /// Takes a byte; tells whether it is time to flush.
    fn gather(&mut self, byte: u8) -> bool {
        // There is room: what filled the buffer was flushed.
        let _ = self.bytes.push(byte);
        self.open = byte != b'\n';
        !self.open || self.bytes.is_full()
    }

    /// Writes what is gathered.
    pub fn flush(&mut self) {
        if !self.bytes.is_empty() {
            logger::write(&self.bytes);
        }
        self.bytes.clear();
    }

    /// Writes a line of the shim's own, on a line of its own.
    pub fn say(&mut self, text: fmt::Arguments<'_>) {
        self.end_line();
        logger::print(format_args!("shim: {text}\n"));
    }

    /// Ends the guest's line, if it is within one.
    pub fn end_line(&mut self) {
        if self.open {
            self.put(b'\n');
        }
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_full_buffers_go_out() {
        let mut output = Output::new();
        assert!(!output.gather(b'a'));
        assert!(output.open);
        assert!(output.gather(b'\n'));
        assert!(!output.open);
        output.flush();
        for _ in 1..BATCH {
            assert!(!output.gather(b'x'));
        }
        assert!(output.gather(b'x'));
        assert!(output.gather(b'y'), "never overruns");
        output.flush();
        assert!(output.bytes.is_empty());
    }
}
