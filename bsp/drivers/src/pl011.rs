// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The Arm PrimeCell UART (PL011; manual DDI 0183), as far as printing goes.
//!
//! Line settings are left as the firmware chose them: the kernel's messages appear where the
//! firmware's did.

use core::fmt;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite};
use tock_registers::{register_bitfields, register_structs};

register_structs! {
    Registers {
        /// UARTDR, DDI 0183 §3.3.1.
        (0x00 => data: ReadWrite<u32>),
        (0x04 => _before_flags),
        /// UARTFR, §3.3.3.
        (0x18 => flags: ReadOnly<u32, Flags::Register>),
        (0x1c => _before_control),
        /// UARTCR, §3.3.8.
        (0x30 => control: ReadWrite<u32, Control::Register>),
        (0x34 => @END),
    }
}

register_bitfields! [u32,
    Flags [
        /// The transmitter is sending.
        BUSY OFFSET(3) NUMBITS(1) [],
        /// The transmit FIFO is full.
        TXFF OFFSET(5) NUMBITS(1) []
    ],
    Control [
        /// The UART is on.
        UARTEN OFFSET(0) NUMBITS(1) [],
        /// It may transmit.
        TXE OFFSET(8) NUMBITS(1) []
    ]
];

/// How often a full FIFO is looked at before the byte is given up: a UART that is stuck must not
/// stop the kernel from halting.
const PATIENCE: u32 = 1_000_000;

/// A PL011 whose registers lie at a fixed address.
#[derive(Clone, Copy, Debug)]
pub struct Pl011 {
    base: usize,
}

impl Pl011 {
    /// Names the UART whose registers begin at `base`.
    ///
    /// # Safety
    /// There is a PL011 at `base`, mapped as device memory whenever this value is used. Sharing it
    /// with others only garbles text.
    pub const unsafe fn new(base: usize) -> Pl011 {
        Pl011 { base }
    }

    fn registers(&self) -> &Registers {
        // SAFETY: `new` demands that the registers are mapped at `base`; they are only touched
        // through volatile cells.
        unsafe { &*(self.base as *const Registers) }
    }

    /// Sends one byte.
    pub fn put(&self, byte: u8) {
        let registers = self.registers();
        if !registers.control.is_set(Control::UARTEN) {
            registers.control.write(Control::UARTEN::SET + Control::TXE::SET);
        }
        for _ in 0..PATIENCE {
            if !registers.flags.is_set(Flags::TXFF) {
                registers.data.set(u32::from(byte));
                return;
            }
        }
    }

    /// Waits until all has left the UART, so that a power-off cuts no line short.
    pub fn drain(&self) {
        for _ in 0..PATIENCE {
            if !self.registers().flags.is_set(Flags::BUSY) {
                return;
            }
        }
    }
}

impl fmt::Write for Pl011 {
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
    use super::*;
    use core::fmt::Write;
    use core::mem::offset_of;

    #[test]
    fn registers_lie_where_the_manual_says() {
        assert_eq!(offset_of!(Registers, flags), 0x18);
        assert_eq!(offset_of!(Registers, control), 0x30);
    }

    #[test]
    fn the_last_byte_written_is_the_last_of_the_text() {
        let mut memory = [0u32; 13];
        memory[6] = 0;
        // SAFETY: the array stands for the registers, and lives longer than the UART.
        let mut uart = unsafe { Pl011::new(memory.as_mut_ptr() as usize) };
        assert!(writeln!(uart, "ab").is_ok());
        assert_eq!(uart.registers().data.get(), u32::from(b'\n'));
        assert!(uart.registers().control.is_set(Control::UARTEN));
    }
}
