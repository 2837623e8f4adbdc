// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! 16550 (National Semiconductor PC16550D data sheet, §8). The baud rate is the firmware's.

use core::arch::asm;

use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::{Error, Partition};

const DATA: u16 = 0;
const INTERRUPTS: u16 = 1;
const INTERRUPTS_RECEIVED: u8 = 1;
const FIFO: u16 = 2;
const FIFO_ON: u8 = 1;
const LINE_CONTROL: u16 = 3;
const LINE_CONTROL_8N1: u8 = 3;
const MODEM_CONTROL: u16 = 4;
/// DTR, RTS, and OUT2, which lets the interrupt through.
const MODEM_CONTROL_ON: u8 = 1 | 2 | 8;
const LINE_STATUS: u16 = 5;
const LINE_STATUS_RECEIVED: u8 = 1;
const LINE_STATUS_TX_EMPTY: u8 = 1 << 5;
/// Ports that the device has.
const PORTS: u16 = 8;

/// The UART, by its first port.
pub(crate) struct Uart(u16);

impl Uart {
    /// Finds the device among what this partition owns; returns its name too.
    pub(crate) fn open(me: &Partition) -> Result<(Self, &'static str), Error> {
        let device = me.objects_of(ObjectKind::IoPorts).next();
        let name = device.map_or("uart0", |object| object.name.as_str());
        let (first, count) = me.io_ports(name)?;
        if count < PORTS {
            return Err(Error::Bounds);
        }
        let uart = Uart(first);
        uart.write(LINE_CONTROL, LINE_CONTROL_8N1);
        uart.write(FIFO, FIFO_ON);
        uart.write(MODEM_CONTROL, MODEM_CONTROL_ON);
        uart.write(INTERRUPTS, INTERRUPTS_RECEIVED);
        Ok((uart, name))
    }

    /// Sends a byte; waits while there is no room.
    pub(crate) fn send(&mut self, byte: u8) {
        while self.read(LINE_STATUS) & LINE_STATUS_TX_EMPTY == 0 {
            core::hint::spin_loop();
        }
        self.write(DATA, byte);
    }

    /// Takes a byte that was received.
    pub(crate) fn receive(&mut self) -> Option<u8> {
        (self.read(LINE_STATUS) & LINE_STATUS_RECEIVED != 0).then(|| self.read(DATA))
    }

    /// Reads one of the eight registers.
    fn read(&self, register: u16) -> u8 {
        let value;
        // SAFETY: `open` has checked that the ports are this partition's; a read of the device
        // touches no memory.
        unsafe {
            asm!("in al, dx", in("dx") self.0 + register, out("al") value, options(nomem, nostack));
        }
        value
    }

    /// Writes one of the eight registers.
    fn write(&self, register: u16, value: u8) {
        // SAFETY: as above; the device is no bus master.
        unsafe {
            asm!("out dx, al", in("dx") self.0 + register, in("al") value, options(nomem, nostack));
        }
    }
}
