// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's console output: bytes of the UART, gathered until it is worth to call the console.

use core::fmt;

use parzelle_rt::logger;

/// Bytes that are gathered at most.
const BATCH: usize = 128;

/// Gathers bytes and writes them to the log ring: at a line's end, when the buffer is full, and
/// whenever [`Output::flush`] is called.
#[derive(Debug)]
pub struct Output {
    bytes: [u8; BATCH],
    used: usize,
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
        Self { bytes: [0; BATCH], used: 0, open: false }
    }

    /// Takes a byte.
    pub fn put(&mut self, byte: u8) {
        if self.gather(byte) {
            self.flush();
        }
    }

    /// Takes a byte; tells whether it is time to flush.
    fn gather(&mut self, byte: u8) -> bool {
        if let Some(place) = self.bytes.get_mut(self.used) {
            *place = byte;
            self.used += 1;
        }
        self.open = byte != b'\n';
        !self.open || self.used == BATCH
    }

    /// Writes what is gathered.
    pub fn flush(&mut self) {
        let gathered = self.bytes.get(..self.used).unwrap_or_default();
        if !gathered.is_empty() {
            logger::write(gathered);
        }
        self.used = 0;
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
        assert_eq!(output.used, 0);
    }
}
