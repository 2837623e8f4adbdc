// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest that makes exits.

#![allow(dead_code, reason = "each test takes what it needs")]

use parzelle_shim_board::exit::instruction::Transfer;
use parzelle_shim_board::exit::{Exit, Mmio, SysReg};
use parzelle_shim_board::machine::{Io, Next, Note, Vmm};
use parzelle_shim_board::map::{GICD_BASE, GICR_BASE, Range, UART_BASE};
use parzelle_shim_board::registers::Frame;
use parzelle_shim_board::sysreg::Features;

pub(crate) const GICD: u64 = GICD_BASE;
pub(crate) const GICR: u64 = GICR_BASE;
pub(crate) const UART: u64 = UART_BASE;
pub(crate) const RAM: Range = Range { start: 0x4000_0000, size: 0x1000_0000 };

/// The world outside: remembers everything.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) output: Vec<u8>,
    pub(crate) notes: Vec<Note>,
}

impl Io for World {
    fn console(&mut self, byte: u8) {
        self.output.push(byte);
    }

    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    fn identification(&mut self, _: SysReg) -> u64 {
        0x1111_1111_1111_1111
    }
}

pub(crate) struct Guest {
    pub(crate) vmm: Vmm,
    pub(crate) frame: Frame,
    pub(crate) io: World,
}

impl Guest {
    pub(crate) fn new(vcpus: usize) -> Self {
        Self { vmm: Vmm::new(vcpus, RAM, Features::default()), frame: Frame::default(), io: World::default() }
    }

    /// vCPU 0 leaves.
    pub(crate) fn exit(&mut self, exit: Exit) -> Next {
        self.vmm.handle(0, exit, &mut self.frame, &mut self.io)
    }

    /// vCPU 0 loads or stores `width` bytes.
    pub(crate) fn access(&mut self, ipa: u64, width: u8, value: Option<u64>) -> u64 {
        let transfer = Transfer {
            width,
            registers: [9, 31],
            elements: 1,
            write: value.is_some(),
            sign_extend: false,
            sixty_four: true,
            writeback: None,
        };
        self.frame.x[9] = value.unwrap_or(0);
        assert_eq!(self.exit(Exit::Mmio(Mmio { ipa, transfer })), Next::Resume);
        self.frame.x[9]
    }

    pub(crate) fn read(&mut self, ipa: u64) -> u64 {
        self.access(ipa, 4, None)
    }

    pub(crate) fn write(&mut self, ipa: u64, value: u64) {
        self.access(ipa, 4, Some(value));
    }
}
