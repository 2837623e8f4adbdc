// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From bytes to an instruction.
//!
//! ```text
//!   ud2 "xen"?  prefixes (66 67 f0 f2 f3 segment)  REX  opcode (0f …)  ModRM SIB displacement  immediate
//! ```

use super::operand::{HIGH_BYTE, Memory, SegmentOverride};
use super::store::{Source, Store, StoreKind};
use super::{Instruction, LONGEST, Operation, Place, Port, Register, SystemSelector, SystemTable, Width};

/// `ud2; "xen"`: what follows is to be emulated.
const XEN_PREFIX: [u8; 5] = [0x0f, 0x0b, b'x', b'e', b'n'];

/// Decodes the instruction at the beginning of `bytes`, of which 15 are enough (20 for the forced
/// cpuid, which has a prefix of 5). None: it is not one of ours, not whole, or not an instruction.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Instruction> {
    if let Some([0x0f, 0xa2, ..]) = bytes.strip_prefix(&XEN_PREFIX) {
        return Some(Instruction { length: 7, operation: Operation::CpuidForced });
    }
    let mut reader = Reader::new(bytes.get(..LONGEST).unwrap_or(bytes));
    let operation = reader.instruction()?;
    // LOCK belongs to locked stores, and to nothing else here.
    if reader.lock && !matches!(operation, Operation::Store(Store { locked: true, .. })) {
        return None;
    }
    Some(Instruction { length: reader.at as u8, operation })
}

/// ModRM, with what follows it.
#[derive(Clone, Copy)]
struct ModRm {
    /// The register field: a register, or a part of the opcode.
    reg: u8,
    /// The other operand.
    rm: Operand,
}

#[derive(Clone, Copy)]
enum Operand {
    Register(Register),
    Memory(Memory),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    rex: Option<u8>,
    short_operand: bool,
    short_address: bool,
    lock: bool,
    /// F2 or F3: another instruction, mostly.
    repeat: bool,
    segment: Option<SegmentOverride>,
}

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            rex: None,
            short_operand: false,
            short_address: false,
            lock: false,
            repeat: false,
            segment: None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A little-endian number of so many bytes, sign-extended.
    fn signed(&mut self, bytes: u32) -> Option<i64> {
        let mut value = 0u64;
        for index in 0..bytes {
            value |= u64::from(self.byte()?) << (8 * index);
        }
        let unused = 64 - 8 * bytes;
        Some((value << unused).cast_signed() >> unused)
    }

    /// The number behind an operand: as wide, but at most 32 bits.
    fn immediate(&mut self, width: Width) -> Option<Source> {
        self.signed((width as u32).min(4)).map(Source::Immediate)
    }

    /// A bit of the REX prefix: 3 W, 2 R, 1 X, 0 B.
    fn rex_bit(&self, bit: u8) -> u8 {
        self.rex.unwrap_or(0) >> bit & 1
    }

    /// The width of an operand that is not a byte.
    fn width(&self) -> Width {
        match (self.rex_bit(3), self.short_operand) {
            (1, _) => Width::Quad,
            (_, true) => Width::Word,
            _ => Width::Long,
        }
    }

    /// A byte if the opcode's lowest bit is clear.
    fn width_of(&self, opcode: u8) -> Width {
        if opcode & 1 == 0 { Width::Byte } else { self.width() }
    }

    /// Without REX, byte registers 4–7 are ah, ch, dh, bh.
    fn register(&self, number: Register, width: Width) -> Register {
        match (width, self.rex, number) {
            (Width::Byte, None, 4..=7) => number - 4 + HIGH_BYTE,
            _ => number,
        }
    }

    fn instruction(&mut self) -> Option<Operation> {
        let opcode = loop {
            let byte = self.byte()?;
            match byte {
                0x26 | 0x2e | 0x36 | 0x3e => {}
                0x64 => self.segment = Some(SegmentOverride::Fs),
                0x65 => self.segment = Some(SegmentOverride::Gs),
                0x66 => self.short_operand = true,
                0x67 => self.short_address = true,
                0xf0 => self.lock = true,
                0xf2 | 0xf3 => self.repeat = true,
                0x40..=0x4f => {
                    self.rex = Some(byte);
                    continue;
                }
                _ => break byte,
            }
            // Only the last byte before the opcode counts as REX.
            self.rex = None;
        };
        match opcode {
            0x0f => self.two_bytes(),
            // XACQUIRE, XRELEASE and PAUSE-like forms don't reach page tables.
            _ if self.repeat => None,
            _ => self.one_byte(opcode),
        }
    }

    fn one_byte(&mut self, opcode: u8) -> Option<Operation> {
        match opcode {
            0x00 | 0x01 => self.store(StoreKind::Add, opcode),
            0x08 | 0x09 => self.store(StoreKind::Or, opcode),
            0x20 | 0x21 => self.store(StoreKind::And, opcode),
            0x28 | 0x29 => self.store(StoreKind::Subtract, opcode),
            0x30 | 0x31 => self.store(StoreKind::Xor, opcode),
            0x86 | 0x87 => self.store(StoreKind::Exchange, opcode),
            0x88 | 0x89 => self.store(StoreKind::Move, opcode),
            0x80 | 0x81 | 0x83 => self.store_immediate(opcode),
            0xc6 | 0xc7 => {
                let width = self.width_of(opcode);
                let modrm = self.modrm()?;
                (modrm.reg & 7 == 0).then_some(())?;
                let source = self.immediate(width)?;
                self.stored(StoreKind::Move, width, source, modrm)
            }
            0xa2 | 0xa3 => {
                let width = self.width_of(opcode);
                let memory = self.absolute()?;
                self.written(StoreKind::Move, width, Source::Register(0), memory)
            }
            0xcc => Some(Operation::Interrupt(3)),
            0xcd => Some(Operation::Interrupt(self.byte()?)),
            0xe4 | 0xe5 => Some(Operation::In { width: self.port_width(opcode), port: Port::Number(self.byte()?) }),
            0xe6 | 0xe7 => Some(Operation::Out { width: self.port_width(opcode), port: Port::Number(self.byte()?) }),
            0xec | 0xed => Some(Operation::In { width: self.port_width(opcode), port: Port::Dx }),
            0xee | 0xef => Some(Operation::Out { width: self.port_width(opcode), port: Port::Dx }),
            0xf4 => Some(Operation::Halt),
            0xfa => Some(Operation::Cli),
            0xfb => Some(Operation::Sti),
            _ => None,
        }
    }

    fn two_bytes(&mut self) -> Option<Operation> {
        let opcode = self.byte()?;
        // With F2, F3 or 66 most of these are something else.
        let plain = !self.repeat && !self.short_operand;
        match opcode {
            0x00 if !self.repeat => self.group_6(),
            0x01 => self.group_7(),
            0x05 if plain => Some(Operation::Syscall),
            0x06 if plain => Some(Operation::ClearTaskSwitched),
            0x08 | 0x09 if plain => Some(Operation::FlushCaches),
            0x20..=0x23 if plain => self.control_or_debug(opcode),
            0x30 if plain => Some(Operation::WriteMsr),
            0x31 if plain => Some(Operation::ReadCounter { processor: false }),
            0x32 if plain => Some(Operation::ReadMsr),
            0x33 if plain => Some(Operation::ReadPerformanceCounter),
            0xa2 if plain => Some(Operation::Cpuid),
            0xab if !self.repeat => self.store(StoreKind::BitSet, opcode),
            0xb3 if !self.repeat => self.store(StoreKind::BitReset, opcode),
            0xbb if !self.repeat => self.store(StoreKind::BitComplement, opcode),
            0xb0 | 0xb1 if !self.repeat => self.store(StoreKind::CompareExchange, opcode),
            0xc0 | 0xc1 if !self.repeat => self.store(StoreKind::ExchangeAdd, opcode),
            // movnti has no byte form and no 16-bit one.
            0xc3 if plain => self.store(StoreKind::Move, opcode),
            0xba if !self.repeat => {
                let width = self.width();
                let modrm = self.modrm()?;
                let kind = match modrm.reg & 7 {
                    5 => StoreKind::BitSet,
                    6 => StoreKind::BitReset,
                    7 => StoreKind::BitComplement,
                    _ => return None,
                };
                let source = Source::Immediate(self.byte()?.into());
                self.stored(kind, width, source, modrm)
            }
            _ => None,
        }
    }

    /// Ports are read and written by at most 32 bits.
    fn port_width(&self, opcode: u8) -> Width {
        match (opcode & 1, self.short_operand && self.rex_bit(3) == 0) {
            (0, _) => Width::Byte,
            (_, true) => Width::Word,
            _ => Width::Long,
        }
    }

    fn store(&mut self, kind: StoreKind, opcode: u8) -> Option<Operation> {
        let width = match kind {
            StoreKind::BitSet | StoreKind::BitReset | StoreKind::BitComplement => self.width(),
            _ => self.width_of(opcode),
        };
        let modrm = self.modrm()?;
        let source = Source::Register(self.register(modrm.reg, width));
        self.stored(kind, width, source, modrm)
    }

    /// Opcodes 80, 81, 83: the operation is in ModRM.
    fn store_immediate(&mut self, opcode: u8) -> Option<Operation> {
        let width = self.width_of(opcode);
        let modrm = self.modrm()?;
        let kind = match modrm.reg & 7 {
            0 => StoreKind::Add,
            1 => StoreKind::Or,
            4 => StoreKind::And,
            5 => StoreKind::Subtract,
            6 => StoreKind::Xor,
            _ => return None,
        };
        let source = self.immediate(if opcode == 0x83 { Width::Byte } else { width })?;
        self.stored(kind, width, source, modrm)
    }

    fn stored(&self, kind: StoreKind, width: Width, source: Source, modrm: ModRm) -> Option<Operation> {
        match modrm.rm {
            Operand::Memory(memory) => self.written(kind, width, source, memory),
            Operand::Register(_) => None,
        }
    }

    fn written(&self, kind: StoreKind, width: Width, source: Source, memory: Memory) -> Option<Operation> {
        if self.lock && kind == StoreKind::Move {
            return None;
        }
        let locked = self.lock || kind == StoreKind::Exchange;
        Some(Operation::Store(Store { kind, width, source, memory, locked }))
    }

    /// `mov` from and to control and debug registers: ModRM names registers whatever its mode says.
    fn control_or_debug(&mut self, opcode: u8) -> Option<Operation> {
        let modrm = self.byte()?;
        let special = modrm >> 3 & 7 | self.rex_bit(2) << 3;
        let register = modrm & 7 | self.rex_bit(0) << 3;
        let exists = match opcode & 1 {
            0 => matches!(special, 0 | 2 | 3 | 4 | 8),
            _ => special < 8,
        };
        exists.then_some(match opcode {
            0x20 => Operation::ReadControl { control: special, register },
            0x21 => Operation::ReadDebug { debug: special, register },
            0x22 => Operation::WriteControl { control: special, register },
            _ => Operation::WriteDebug { debug: special, register },
        })
    }

    /// sldt, str, lldt, ltr.
    fn group_6(&mut self) -> Option<Operation> {
        let modrm = self.modrm()?;
        let place = self.place(modrm.rm);
        match modrm.reg & 7 {
            0 => Some(Operation::StoreSelector(SystemSelector::Ldt, place)),
            1 => Some(Operation::StoreSelector(SystemSelector::Task, place)),
            2 => Some(Operation::LoadSelector(SystemSelector::Ldt, place)),
            3 => Some(Operation::LoadSelector(SystemSelector::Task, place)),
            _ => None,
        }
    }

    /// sgdt, sidt, lgdt, lidt, smsw, lmsw, invlpg, swapgs, rdtscp, xsetbv.
    fn group_7(&mut self) -> Option<Operation> {
        let modrm = self.modrm()?;
        match (modrm.reg & 7, modrm.rm) {
            (4, rm) if !self.repeat => Some(Operation::StoreSelector(SystemSelector::MachineStatus, self.place(rm))),
            (6, rm) if !self.repeat => Some(Operation::LoadSelector(SystemSelector::MachineStatus, self.place(rm))),
            (0, Operand::Memory(memory)) => Some(Operation::StoreTable(SystemTable::Gdt, memory)),
            (1, Operand::Memory(memory)) => Some(Operation::StoreTable(SystemTable::Idt, memory)),
            (2, Operand::Memory(memory)) => Some(Operation::LoadTable(SystemTable::Gdt, memory)),
            (3, Operand::Memory(memory)) => Some(Operation::LoadTable(SystemTable::Idt, memory)),
            (7, Operand::Memory(memory)) => Some(Operation::Invlpg(memory)),
            // With the low three bits of ModRM, which REX does not touch.
            (2, Operand::Register(rm)) if rm & 7 == 1 && !self.repeat && !self.short_operand => Some(Operation::SetXcr),
            (7, Operand::Register(rm)) if rm & 7 == 0 && !self.repeat && !self.short_operand => Some(Operation::SwapGs),
            (7, Operand::Register(rm)) if rm & 7 == 1 && !self.repeat && !self.short_operand => {
                Some(Operation::ReadCounter { processor: true })
            }
            _ => None,
        }
    }

    fn place(&self, rm: Operand) -> Place {
        match rm {
            Operand::Register(register) => Place::Register(register, self.width()),
            Operand::Memory(memory) => Place::Memory(memory),
        }
    }

    fn modrm(&mut self) -> Option<ModRm> {
        let byte = self.byte()?;
        let reg = byte >> 3 & 7 | self.rex_bit(2) << 3;
        let rm = byte & 7;
        let mode = byte >> 6;
        if mode == 3 {
            return Some(ModRm { reg, rm: Operand::Register(rm | self.rex_bit(0) << 3) });
        }
        let mut memory = self.nowhere();
        match rm {
            4 => self.sib(mode, &mut memory)?,
            5 if mode == 0 => {
                memory.rip_relative = true;
                memory.displacement = self.signed(4)?;
            }
            _ => memory.base = Some(rm | self.rex_bit(0) << 3),
        }
        match mode {
            1 => memory.displacement = self.signed(1)?,
            2 => memory.displacement = self.signed(4)?,
            _ => {}
        }
        Some(ModRm { reg, rm: Operand::Memory(memory) })
    }

    fn sib(&mut self, mode: u8, memory: &mut Memory) -> Option<()> {
        let byte = self.byte()?;
        let index = byte >> 3 & 7 | self.rex_bit(1) << 3;
        // 4 is rsp, which can't be an index; 12 is r12, which can.
        memory.index = (index != 4).then_some((index, byte >> 6));
        if byte & 7 == 5 && mode == 0 {
            memory.displacement = self.signed(4)?;
        } else {
            memory.base = Some(byte & 7 | self.rex_bit(0) << 3);
        }
        Some(())
    }

    /// The operand of a2 and a3: a whole address.
    fn absolute(&mut self) -> Option<Memory> {
        let displacement = if self.short_address { self.signed(4)? & 0xffff_ffff } else { self.signed(8)? };
        Some(Memory { displacement, ..self.nowhere() })
    }

    fn nowhere(&self) -> Memory {
        Memory {
            base: None,
            index: None,
            displacement: 0,
            rip_relative: false,
            segment: self.segment,
            short: self.short_address,
        }
    }
}
