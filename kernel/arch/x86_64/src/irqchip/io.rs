// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Lines: those of the IO-APIC (82093AA datasheet, §3), and messages of devices (PCI 3.0, §6.8.2,
//! MSI-X); each masked from its interrupt until its owner has acknowledged.
//!
//! *Level*: the redirection entry is masked before the interrupt is ended; while a device still
//! asks, unmasking interrupts again. *Edge*: an edge that comes while the entry is masked would
//! be lost. So the entry stays open, and the line is masked in a word here; if an edge comes, it
//! is noted, and only then is the entry masked. Unmasking delivers what was noted. A *message* is
//! such an edge; its entry lies in the device's own table, which only the kernel maps.
//!
//! Behind an IOMMU, vector and core of a line stand in its remapping table, and entries refer to that
//! by the line's number (VT-d, §5.1.5 for the IO-APIC's, §5.1.2.2 for messages).
//!
//! A line has one owner on one core, so its word has one writer; the lock is for the pair of
//! index and data register, which the cores share, and is held for two accesses.

use super::local::SELF;
use super::{LINES, LINES_MAX, Local};
use crate::layout::common;
use crate::mmio::Registers;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use parzelle_plan::{LINE_EDGE, LineRecord};
use spin::mutex::TicketMutex;

const INDEX: u16 = 0x00;
const DATA: u16 = 0x10;
/// Version register.
const VERSION: u32 = 1;
/// First redirection entry; two registers each.
const ENTRY: u32 = 0x10;

/// Redirection entry: level-triggered.
const LEVEL: u32 = 1 << 15;
/// Redirection entry: masked.
const MASKED: u32 = 1 << 16;
/// Where messages are written to that are interrupts (Intel SDM, Vol. 3A, §11.11.1).
const MESSAGES: u32 = 0xfee0_0000;

/// State of a line: edge-triggered.
const STATE_EDGE: u32 = 1 << 8;
/// State of a line: its owner waits for no interrupt.
const STATE_MASKED: u32 = 1 << 9;
/// State of a line: the redirection entry is masked.
const STATE_CLOSED: u32 = 1 << 10;
/// State of a line: an edge came while it was masked.
const STATE_NOTED: u32 = 1 << 11;
/// State of a line: the APIC it is routed to.
const STATE_APIC: u32 = 0xff;

/// The line's state after an interrupt. Its owner hears it if the line was not masked.
const fn interrupted(state: u32) -> u32 {
    match (state & STATE_EDGE != 0, state & STATE_MASKED != 0) {
        (false, _) => state | STATE_MASKED | STATE_CLOSED,
        (true, false) => state | STATE_MASKED,
        (true, true) => state | STATE_NOTED | STATE_CLOSED,
    }
}

/// The line's state after its owner stops waiting.
const fn masked(state: u32) -> u32 {
    if state & STATE_EDGE == 0 { state | STATE_MASKED | STATE_CLOSED } else { state | STATE_MASKED }
}

/// The redirection entry's low word.
const fn entry(line: u32, state: u32) -> u32 {
    let trigger = if state & STATE_EDGE != 0 { 0 } else { LEVEL };
    (LINES as u32 + line) | trigger | if state & STATE_CLOSED != 0 { MASKED } else { 0 }
}

/// The redirection entry's high word.
const fn route(line: u32, state: u32, remapped: bool) -> u32 {
    if remapped { line << 17 | 1 << 16 } else { (state & STATE_APIC) << 24 }
}

/// A message: address and data.
const fn message(line: u32, state: u32, remapped: bool) -> [u32; 2] {
    if remapped {
        [MESSAGES | line << 5 | 1 << 4, 0]
    } else {
        [MESSAGES | (state & STATE_APIC) << 12, LINES as u32 + line]
    }
}

/// A line.
pub(crate) struct Line {
    state: AtomicU32,
    /// The entry of a message's table.
    message: Option<Registers>,
}

/// The IO-APIC, and messages.
pub(crate) struct IoApic {
    registers: TicketMutex<Registers>,
    /// How many lines are the IO-APIC's own.
    count: u32,
    lines: &'static [Line],
    /// There is an IOMMU.
    remapped: bool,
}

impl IoApic {
    /// Reads how many lines the IO-APIC behind `registers` has.
    pub(crate) fn count(registers: Registers) -> u32 {
        registers.write(INDEX, VERSION);
        ((registers.read(DATA) >> 16 & 0xff) + 1).min(LINES_MAX)
    }

    /// The state of a line before its owner has bound it, on the core with APIC `apic`; closed for ever
    /// if it has none.
    pub(crate) fn line(owner: Option<(&LineRecord, u8)>) -> Line {
        let state = AtomicU32::new(match owner {
            // Edges are noted from the start: the device may be quicker than its driver.
            Some((line, apic)) if line.flags & LINE_EDGE != 0 => STATE_EDGE | STATE_MASKED | u32::from(apic),
            Some((_, apic)) => STATE_MASKED | STATE_CLOSED | u32::from(apic),
            None => STATE_MASKED | STATE_CLOSED,
        });
        let entry = owner.map(|(line, _)| line.entry).filter(|&entry| entry != 0);
        // SAFETY: `space` has seen that the kernel's root, linked to all, maps it; writing there only
        // decides what this line's device sends.
        Line { state, message: entry.map(|entry| unsafe { Registers::new(common(entry)) }) }
    }

    /// Takes the registers of an IO-APIC with `count` lines.
    pub(crate) fn new(registers: Registers, count: u32, lines: &'static [Line], remapped: bool) -> IoApic {
        IoApic { registers: TicketMutex::new(registers), count, lines, remapped }
    }

    /// Masks all lines but those whose edges are noted.
    pub(crate) fn begin(&self) {
        for (number, line) in self.lines.iter().enumerate() {
            self.write(number as u32, line, line.state.load(Relaxed));
        }
    }

    fn write(&self, number: u32, line: &Line, state: u32) {
        if let Some(entry) = line.message {
            let [address, data] = message(number, state, self.remapped);
            for (offset, word) in [(0, address), (4, 0), (8, data)] {
                entry.write(offset, word);
            }
        } else if number < self.count {
            let registers = self.registers.lock();
            registers.write(INDEX, ENTRY + 2 * number + 1);
            registers.write(DATA, route(number, state, self.remapped));
        }
        self.mask_entry(number, line, state);
    }

    /// Writes only the word with the mask bit.
    fn mask_entry(&self, number: u32, line: &Line, state: u32) {
        if let Some(message) = line.message {
            message.write(12, u32::from(state & STATE_CLOSED != 0));
        } else if number < self.count {
            let registers = self.registers.lock();
            registers.write(INDEX, ENTRY + 2 * number);
            registers.write(DATA, entry(number, state));
        }
    }

    /// Takes an interrupt and ends it: the line that asks, or `None` if its owner shall not hear
    /// it now.
    pub(crate) fn acknowledge(&self, vector: u64, local: Local) -> Option<u32> {
        let line = vector.wrapping_sub(LINES) as u32;
        let old = self.lines.get(line as usize).map_or(STATE_MASKED, |known| self.change(line, known, interrupted));
        local.end();
        (old & STATE_MASKED == 0).then_some(line)
    }

    /// Changes a line's state, and closes its entry if the state wants it; returns the old state.
    fn change(&self, number: u32, line: &Line, change: fn(u32) -> u32) -> u32 {
        let old = line.state.load(Relaxed);
        let new = change(old);
        line.state.store(new, Relaxed);
        if new & !old & STATE_CLOSED != 0 {
            self.mask_entry(number, line, new);
        }
        old
    }

    /// Masks a line.
    pub(crate) fn mask(&self, line: u32) {
        if let Some(known) = self.lines.get(line as usize) {
            self.change(line, known, masked);
        }
    }

    /// Unmasks a line. It is routed to its owner's core, which is this one.
    pub(crate) fn unmask(&self, line: u32, local: Local) {
        let Some(known) = self.lines.get(line as usize) else {
            return;
        };
        let old = known.state.load(Relaxed);
        let open = old & (STATE_EDGE | STATE_APIC);
        known.state.store(open, Relaxed);
        if old & STATE_CLOSED != 0 {
            self.write(line, known, open);
        }
        if old & STATE_NOTED != 0 {
            local.send(0, SELF | (LINES as u32 + line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_those_of_the_datasheet() {
        assert_eq!(entry(4, STATE_EDGE), 0x34);
        assert_eq!(entry(4, STATE_EDGE | STATE_CLOSED), 0x1_0034);
        assert_eq!(entry(16, STATE_APIC), 0x8040);
        assert_eq!(route(4, 3, false), 0x0300_0000);
        // Handle in bits 63:49, format in bit 48.
        assert_eq!(route(4, 3, true), 0x0009_0000);
    }

    #[test]
    fn messages_are_those_of_the_manuals() {
        assert_eq!(message(64, 3, false), [0xfee0_3000, 0x70]);
        // Handle in bits 19:5, format in bit 4.
        assert_eq!(message(64, 3, true), [0xfee0_0810, 0]);
    }

    #[test]
    fn a_level_is_masked_in_hardware_at_once() {
        assert_eq!(interrupted(3), 3 | STATE_MASKED | STATE_CLOSED);
        assert_eq!(masked(3), interrupted(3));
    }

    #[test]
    fn an_edge_while_masked_is_noted_not_lost() {
        let open = STATE_EDGE | 1;
        let first = interrupted(open);
        assert_eq!(first, open | STATE_MASKED, "the entry stays open");
        let second = interrupted(first);
        assert_eq!(second, first | STATE_NOTED | STATE_CLOSED);
        // A third can't come, since the entry is closed; if one was on its way, it changes nothing.
        assert_eq!(interrupted(second), second);
    }
}
