// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! PL011 (Arm DDI 0183, chapter 3). The baud rate is the firmware's.

use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::{Error, Partition, Registers};

const DATA: u64 = 0x00;
const FLAGS: u64 = 0x18;
const FLAGS_RX_EMPTY: u32 = 1 << 4;
const FLAGS_TX_FULL: u32 = 1 << 5;
const LINE_CONTROL: u64 = 0x2c;
/// 8 bits, FIFOs on.
const LINE_CONTROL_8_FIFO: u32 = 3 << 5 | 1 << 4;
const CONTROL: u64 = 0x30;
/// UART, transmitter and receiver on.
const CONTROL_ON: u32 = 1 | 1 << 8 | 1 << 9;
const MASK: u64 = 0x38;
const CLEAR: u64 = 0x44;
/// Something was received, or it has waited in the FIFO for a while.
const RECEIVED: u32 = 1 << 4 | 1 << 6;

/// The UART.
pub(crate) struct Uart(Registers);

impl Uart {
    /// Finds the device among what this partition owns; returns its name too.
    pub(crate) fn open(me: &Partition) -> Result<(Self, &'static str), Error> {
        let device = me.objects_of(ObjectKind::Registers).next();
        let name = device.map_or("uart0", |object| object.name.as_str());
        let uart = Uart(me.registers(name)?);
        uart.0.write(LINE_CONTROL, LINE_CONTROL_8_FIFO);
        uart.0.write(CONTROL, CONTROL_ON);
        uart.0.write(MASK, RECEIVED);
        Ok((uart, name))
    }

    /// Sends a byte; waits while the FIFO is full.
    pub(crate) fn send(&mut self, byte: u8) {
        while self.0.read(FLAGS) & FLAGS_TX_FULL != 0 {
            core::hint::spin_loop();
        }
        self.0.write(DATA, u32::from(byte));
    }

    /// Takes a byte that was received.
    pub(crate) fn receive(&mut self) -> Option<u8> {
        self.0.write(CLEAR, RECEIVED);
        let empty = self.0.read(FLAGS) & FLAGS_RX_EMPTY != 0;
        (!empty).then(|| self.0.read(DATA) as u8)
    }
}
