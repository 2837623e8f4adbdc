// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The 16550 UART (National PC16550D datasheet, §8), as far as printing goes.
//!
//! How its registers are reached differs (I/O ports, memory), so the board passes that in. Line
//! settings are left as the firmware chose them, unless it chose none.

use core::fmt;

/// How registers are reached.
pub trait Registers {
    /// Reads register `offset` (0–7).
    fn read(&self, offset: u8) -> u8;
    /// Writes register `offset` (0–7).
    fn write(&self, offset: u8, value: u8);
}

/// Transmitter holding register; divisor's low byte while [`DIVISOR`] is set.
const DATA: u8 = 0;
/// Interrupt enable; divisor's high byte while [`DIVISOR`] is set.
const INTERRUPTS: u8 = 1;
/// FIFO control.
const FIFO: u8 = 2;
/// Line control.
const LINE: u8 = 3;
/// Line status.
const STATUS: u8 = 5;

/// Line control: 8 bits, no parity, 1 stop bit.
const EIGHT_BITS: u8 = 0b11;
/// Line control: registers 0 and 1 are the divisor.
const DIVISOR: u8 = 1 << 7;
/// FIFO control: on, both cleared.
const FIFO_ON: u8 = 0b111;
/// Line status: the holding register is empty.
const READY: u8 = 1 << 5;
/// Line status: all has been sent.
const IDLE: u8 = 1 << 6;

/// How often a full transmitter is looked at before the byte is given up: a UART that is stuck must
/// not stop the kernel from halting.
const PATIENCE: u32 = 100_000;

/// A 16550.
#[derive(Clone, Copy, Debug)]
pub struct Ns16550<R: Registers> {
    registers: R,
}

impl<R: Registers> Ns16550<R> {
    /// Takes the registers.
    pub const fn new(registers: R) -> Self {
        Ns16550 { registers }
    }

    /// Sets the line to 115200 8N1, if nobody has set it to anything with 8 bits.
    pub fn begin(&self) {
        let r = &self.registers;
        if r.read(LINE) & EIGHT_BITS == EIGHT_BITS {
            return;
        }
        r.write(LINE, DIVISOR);
        r.write(DATA, 1);
        r.write(INTERRUPTS, 0);
        r.write(LINE, EIGHT_BITS);
        r.write(INTERRUPTS, 0);
        r.write(FIFO, FIFO_ON);
    }

    fn wait(&self, bit: u8) -> bool {
        (0..PATIENCE).any(|_| self.registers.read(STATUS) & bit != 0)
    }

    /// Sends one byte.
    pub fn put(&self, byte: u8) {
        if self.wait(READY) {
            self.registers.write(DATA, byte);
        }
    }

    /// Waits until all has left the UART, so that a power-off cuts no line short.
    pub fn drain(&self) {
        self.wait(IDLE);
    }
}

impl<R: Registers> fmt::Write for Ns16550<R> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.put(b'\r');
            }
            self.put(byte);
        }
        self.drain();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::cell::{Cell, RefCell};
    use core::fmt::Write;
    use std::vec::Vec;

    #[derive(Default)]
    struct Fake {
        line: Cell<u8>,
        stuck: bool,
        sent: RefCell<Vec<u8>>,
    }

    impl Registers for &Fake {
        fn read(&self, offset: u8) -> u8 {
            match offset {
                LINE => self.line.get(),
                STATUS if !self.stuck => READY | IDLE,
                _ => 0,
            }
        }

        fn write(&self, offset: u8, value: u8) {
            match offset {
                LINE => self.line.set(value),
                DATA if self.line.get() & DIVISOR == 0 => self.sent.borrow_mut().push(value),
                _ => {}
            }
        }
    }

    #[test]
    fn text_is_sent_with_carriage_returns() {
        let fake = Fake::default();
        let mut uart = Ns16550::new(&fake);
        uart.begin();
        assert_eq!(fake.line.get(), EIGHT_BITS);
        assert!(uart.write_str("a\nb").is_ok());
        assert_eq!(*fake.sent.borrow(), b"a\r\nb");
    }

    #[test]
    fn a_stuck_uart_stops_nobody() {
        let fake = Fake { stuck: true, ..Fake::default() };
        assert!(Ns16550::new(&fake).write_str("a").is_ok());
        assert!(fake.sent.borrow().is_empty());
    }
}
