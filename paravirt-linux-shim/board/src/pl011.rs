// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! An emulated UART, Arm PrimeCell PL011 r1p5 (DDI 0183G, chapter 3), with input.
//!
//! Output leaves at once, so the transmitter is always ready. Input arrives without the pauses of a
//! wire, so the receive timeout ("data is waiting and nothing more comes") is raised together with
//! the data: a driver that waits for a full FIFO would otherwise wait for ever for a single key.

use heapless::Deque;

/// Bytes of the receive FIFO: 32 from revision r1p5 on, which the identification register promises.
const FIFO: usize = 32;

/// Receive interrupt: the FIFO has reached its trigger level.
const RX: u32 = 1 << 4;
/// Transmit interrupt: there is room again.
const TX: u32 = 1 << 5;
/// Receive timeout.
const RT: u32 = 1 << 6;
/// The interrupts that exist.
const ALL: u32 = 0x7ff;

/// `CR`: the UART and its receiver are on.
const RECEIVING: u32 = 1 << 9 | 1;
/// `LCR_H.FEN`: the FIFOs are on.
const FIFO_ENABLE: u32 = 1 << 4;

/// `UARTPeriphID0` to `3`, then `UARTPCellID0` to `3`.
const IDENTIFICATION: [u32; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// The UART.
#[derive(Clone, Debug)]
pub struct Pl011 {
    fifo: Deque<u8, FIFO>,
    baud: [u32; 2],
    line_control: u32,
    control: u32,
    fifo_levels: u32,
    /// `IMSC`: the interrupts that reach the line.
    mask: u32,
    /// `RIS`.
    raised: u32,
}

impl Default for Pl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Pl011 {
    /// Makes a UART as after reset.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            fifo: Deque::new(),
            baud: [0; 2],
            line_control: 0,
            control: 0x300,
            fifo_levels: 0x12,
            mask: 0,
            raised: 0,
        }
    }

    /// Tells whether the interrupt line is high.
    #[must_use]
    pub const fn line(&self) -> bool {
        self.raised & self.mask != 0
    }

    /// Takes a byte of input. Returns false if the guest can't take it now (FIFO full, receiver
    /// off): offer it again later.
    #[must_use]
    pub fn receive(&mut self, byte: u8) -> bool {
        let ready = self.control & RECEIVING == RECEIVING && self.fifo.len() < self.depth();
        if !ready || self.fifo.push_back(byte).is_err() {
            return false;
        }
        self.raised |= RT;
        if self.fifo.len() >= self.trigger() {
            self.raised |= RX;
        }
        true
    }

    /// Reads the register at `offset`; nothing if there is none.
    #[must_use]
    pub fn read(&mut self, offset: u64) -> Option<u32> {
        Some(match offset {
            0x000 => self.take(),
            // RSR/ECR: no errors. ILPR, DMACR: not there.
            0x004 | 0x020 | 0x048 => 0,
            0x018 => self.flags(),
            0x024 | 0x028 => self.baud[usize::from(offset == 0x028)],
            0x02c => self.line_control,
            0x030 => self.control,
            0x034 => self.fifo_levels,
            0x038 => self.mask,
            0x03c => self.raised,
            0x040 => self.raised & self.mask,
            0x044 => 0,
            0xfe0..=0xffc if offset & 3 == 0 => IDENTIFICATION[(offset - 0xfe0) as usize / 4],
            _ => return None,
        })
    }

    /// Writes the register at `offset`; output goes to `sink`. Returns false if there is no such
    /// register.
    pub fn write(&mut self, offset: u64, value: u32, sink: impl FnOnce(u8)) -> bool {
        match offset {
            // Also while the transmitter is off: early consoles don't ask.
            0x000 => {
                sink(value as u8);
                self.raised |= TX;
            }
            0x004 | 0x018 | 0x020 | 0x03c | 0x040 | 0x048 => {}
            0x024 => self.baud[0] = value & 0xffff,
            0x028 => self.baud[1] = value & 0x3f,
            0x02c => self.set_line_control(value & 0xff),
            0x030 => self.control = value & 0xff87,
            0x034 => self.fifo_levels = value & 0x3f,
            0x038 => self.mask = value & ALL,
            0x044 => self.raised &= !value,
            _ => return false,
        }
        true
    }

    /// Switching the FIFOs on or off empties them.
    fn set_line_control(&mut self, value: u32) {
        if (self.line_control ^ value) & FIFO_ENABLE != 0 {
            self.fifo.clear();
            self.raised &= !(RX | RT);
        }
        self.line_control = value;
    }

    fn take(&mut self) -> u32 {
        let Some(byte) = self.fifo.pop_front() else {
            return 0;
        };
        if self.fifo.len() < self.trigger() {
            self.raised &= !RX;
        }
        if self.fifo.is_empty() {
            self.raised &= !RT;
        }
        u32::from(byte)
    }

    /// `FR`: transmitter empty and idle; the other side is there (CTS, DSR, DCD).
    fn flags(&self) -> u32 {
        let empty = self.fifo.is_empty();
        let full = self.fifo.len() >= self.depth();
        1 << 7 | u32::from(full) << 6 | u32::from(empty) << 4 | 0b111
    }

    const fn depth(&self) -> usize {
        if self.line_control & FIFO_ENABLE != 0 { FIFO } else { 1 }
    }

    /// How many bytes raise the receive interrupt (`IFLS.RXIFLSEL`: 1/8, 1/4, 1/2, 3/4, 7/8).
    const fn trigger(&self) -> usize {
        match (self.depth(), self.fifo_levels >> 3 & 7) {
            (1, _) => 1,
            (_, 0) => FIFO / 8,
            (_, 1) => FIFO / 4,
            (_, 2) => FIFO / 2,
            (_, 3) => FIFO * 3 / 4,
            _ => FIFO * 7 / 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Pl011 {
        let mut uart = Pl011::new();
        assert!(uart.write(0x2c, 0x70, |_| {}));
        assert!(uart.write(0x30, 0x301, |_| {}));
        uart
    }

    #[test]
    fn input_waits_until_the_receiver_is_on() {
        let mut uart = Pl011::new();
        assert!(!uart.receive(b'a'));
        let mut uart = ready();
        assert!(uart.receive(b'a'));
        assert_eq!(uart.read(0x18), Some(0x87));
        assert_eq!(uart.read(0x00), Some(u32::from(b'a')));
        assert_eq!(uart.read(0x18), Some(0x97));
    }

    #[test]
    fn one_key_raises_the_timeout_and_a_pile_the_receive_interrupt() {
        let mut uart = ready();
        let _ = uart.write(0x38, RX | RT, |_| {});
        assert!(!uart.line());
        assert!(uart.receive(1));
        assert_eq!(uart.read(0x40), Some(RT));
        for byte in 2..=32 {
            assert!(uart.receive(byte));
        }
        assert!(!uart.receive(33), "the FIFO is full");
        assert_eq!(uart.read(0x40), Some(RT | RX));
        for byte in 1..=32 {
            assert!(uart.line());
            assert_eq!(uart.read(0), Some(byte));
        }
        assert!(!uart.line());
    }

    #[test]
    fn writing_raises_transmit_until_cleared() {
        let mut uart = ready();
        let mut out = None;
        assert!(uart.write(0, u32::from(b'x'), |byte| out = Some(byte)));
        assert_eq!((out, uart.read(0x3c)), (Some(b'x'), Some(TX)));
        assert!(uart.write(0x44, TX, |_| {}));
        assert_eq!(uart.read(0x3c), Some(0));
    }

    #[test]
    fn identifies_itself_as_a_pl011_with_a_deep_fifo() {
        let mut uart = Pl011::new();
        let id = [0xfe0, 0xfe4, 0xfe8, 0xfec, 0xff0, 0xff4, 0xff8, 0xffc].map(|offset| uart.read(offset).unwrap());
        assert_eq!(u32::from_le_bytes([id[0] as u8, id[1] as u8, id[2] as u8, id[3] as u8]) & 0xf_ffff, 0x4_1011);
        assert_eq!(id[4..], [0x0d, 0xf0, 0x05, 0xb1]);
        assert_eq!(uart.read(0x100), None);
    }

    #[test]
    fn without_fifo_it_holds_one_byte() {
        let mut uart = ready();
        let _ = uart.write(0x2c, 0x60, |_| {});
        assert!(uart.receive(1));
        assert!(!uart.receive(2));
        assert_eq!(uart.read(0x3c), Some(RX | RT));
    }
}
