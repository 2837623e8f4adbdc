// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Loads and stores of the guest, carried to the device that lies at their address.

use super::{Io, Note, Vmm};
use crate::exit::Mmio;
use crate::exit::instruction::Transfer;
use crate::gic::Frame;
use crate::map::{GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE, UART_BASE, UART_INTID, UART_SIZE};
use crate::registers::GuestRegisters;

/// What lies at a guest physical address.
enum Place {
    Gic(Frame, u64),
    Uart(u64),
    Nothing,
}

impl Vmm {
    /// Performs a load or store on the board.
    pub(super) fn transfer(&mut self, mmio: &Mmio, registers: &mut impl GuestRegisters, io: &mut impl Io) {
        let Transfer { width, write, writeback, .. } = mmio.transfer;
        let elements = mmio.transfer.registers.into_iter().take(usize::from(mmio.transfer.elements));
        // The base register moves by what it was before: a load may replace it.
        let base = writeback.map(|writeback| registers.x(writeback.register).wrapping_add_signed(writeback.offset));
        let mut ipa = mmio.ipa;
        for register in elements {
            if write {
                self.write(ipa, width, mmio.transfer.stored(register, registers), io);
            } else {
                let value = self.read(ipa, width, io);
                registers.set_x(register, mmio.transfer.loaded(value));
            }
            ipa = ipa.wrapping_add(u64::from(width));
        }
        if let (Some(writeback), Some(base)) = (writeback, base) {
            registers.set_x(writeback.register, base);
        }
        self.update_lines();
    }

    fn read(&mut self, ipa: u64, width: u8, io: &mut impl Io) -> u64 {
        let value = match self.find(ipa) {
            Place::Gic(frame, offset) => self.gic.read(frame, offset, width),
            Place::Uart(offset) => self.uart.read(offset).map(u64::from),
            Place::Nothing => None,
        };
        value.unwrap_or_else(|| {
            self.odd(Note::Read(ipa), io);
            0
        })
    }

    fn write(&mut self, ipa: u64, width: u8, value: u64, io: &mut impl Io) {
        let known = match self.find(ipa) {
            Place::Gic(frame, offset) => self.gic.write(frame, offset, width, value),
            Place::Uart(offset) => self.uart.write(offset, value as u32, |byte| io.console(byte)),
            Place::Nothing => false,
        };
        if !known {
            self.odd(Note::Write(ipa), io);
        }
    }

    /// Finds what lies at a guest physical address.
    fn find(&self, ipa: u64) -> Place {
        let within = |start: u64, size: u64| ipa.checked_sub(start).filter(|offset| *offset < size);
        if let Some(offset) = within(UART_BASE, UART_SIZE) {
            Place::Uart(offset)
        } else if let Some(offset) = within(GICD_BASE, GICD_SIZE) {
            Place::Gic(Frame::Distributor, offset)
        } else if let Some(offset) = within(GICR_BASE, GICR_STRIDE * self.vcpus as u64) {
            let vcpu = (offset / GICR_STRIDE) as usize;
            let frame = if offset & 0x1_0000 == 0 { Frame::Redistributor(vcpu) } else { Frame::Private(vcpu) };
            Place::Gic(frame, offset)
        } else {
            Place::Nothing
        }
    }

    pub(super) fn update_lines(&mut self) {
        self.gic.set_line(UART_INTID, self.uart.line());
    }
}
