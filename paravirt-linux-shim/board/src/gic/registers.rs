// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The controller's memory-mapped registers: which offset means what.
//!
//! All registers are words. Bytes (of priorities) and double words (`IROUTER`, `GICR_TYPER`) are
//! parts and pairs of them, so one table serves every width.

use super::bank::Register;
use super::{Gic, INTIDS};

/// Architecture revision 3, in `GICD_PIDR2` and `GICR_PIDR2`.
const PIDR2: u32 = 0x3b;
/// Implementer Arm, product 0x50 (`P`): matches none of the errata that guests work around.
const IIDR: u32 = 0x5000_043b;

/// A 64 KiB frame of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `GICD_*`.
    Distributor,
    /// `GICR_*` of a vCPU: control.
    Redistributor(usize),
    /// `GICR_*` of a vCPU: its private interrupts.
    Private(usize),
}

impl Gic {
    /// Reads `width` bytes (1, 2, 4 or 8) at `offset`; nothing if there is no such register.
    #[must_use]
    pub fn read(&self, frame: Frame, offset: u64, width: u8) -> Option<u64> {
        let offset = offset as u32 & 0xffff;
        let word = u64::from(self.read_word(frame, offset & !3)?);
        match width {
            8 => Some(word | u64::from(self.read_word(frame, (offset & !7) + 4)?) << 32),
            _ => Some(word >> (8 * (offset & 3)) & (u64::MAX >> (64 - 8 * u32::from(width.clamp(1, 4))))),
        }
    }

    /// Writes `width` bytes (1, 2, 4 or 8) at `offset`. Returns false if there is no such register.
    pub fn write(&mut self, frame: Frame, offset: u64, width: u8, value: u64) -> bool {
        let offset = offset as u32 & 0xffff;
        let shift = 8 * (offset & 3);
        let mut word =
            |offset, value: u64, lanes: u64| self.write_word(frame, offset, value as u32, lanes as u32).is_some();
        match width {
            8 => word(offset & !7, value, u64::MAX) & word((offset & !7) + 4, value >> 32, u64::MAX),
            _ => word(offset & !3, value << shift, u64::MAX >> (64 - 8 * u32::from(width.clamp(1, 4))) << shift),
        }
    }

    fn read_word(&self, frame: Frame, offset: u32) -> Option<u32> {
        match (frame, offset) {
            (_, 0xffe8) => Some(PIDR2),
            // The other identification registers.
            (_, 0xffd0..=0xffff) => Some(0),
            (Frame::Distributor, _) => self.read_distributor(offset),
            (Frame::Redistributor(vcpu), _) => self.read_redistributor(vcpu, offset),
            (Frame::Private(vcpu), _) => {
                let (0, register) = locate(offset)? else {
                    return None;
                };
                Some(self.redistributors.get(vcpu)?.bank.read(register))
            }
        }
    }

    fn read_distributor(&self, offset: u32) -> Option<u32> {
        match offset {
            // EnableGrp1, ARE, DS.
            0x0000 => Some(u32::from(self.enabled) << 1 | 1 << 4 | 1 << 6),
            // ITLinesNumber, CPUNumber 0 (affinity routing), ten bits of interrupt numbers, no
            // 1-of-N.
            0x0004 => Some((INTIDS / 32 - 1) | 9 << 19 | 1 << 25),
            0x0008 => Some(IIDR),
            // TYPER2, STATUSR.
            0x000c | 0x0010 => Some(0),
            0x6100..=0x7fdf => {
                let intid = (offset - 0x6000) / 8;
                let Some(shared) = self.shared.get(intid as usize / 32 - 1) else {
                    return Some(0);
                };
                Some(if offset & 4 == 0 { shared.route[intid as usize % 32] } else { 0 })
            }
            _ => {
                // Private interrupts are the redistributors', and beyond the last there is nothing.
                let (bank, register) = locate(offset)?;
                Some(self.shared.get(bank.wrapping_sub(1)).map_or(0, |shared| shared.bank.read(register)))
            }
        }
    }

    fn read_redistributor(&self, vcpu: usize, offset: u32) -> Option<u32> {
        let redistributor = self.redistributors.get(vcpu)?;
        match offset {
            // CTLR: no LPIs; STATUSR.
            0x0000 | 0x0010 => Some(0),
            0x0004 => Some(IIDR),
            // TYPER: number of the processor, last of its row; above it the affinity.
            0x0008 => Some((vcpu as u32) << 8 | u32::from(vcpu + 1 == self.vcpus) << 4),
            0x000c => Some(vcpu as u32),
            0x0014 => Some(if redistributor.asleep { 0b110 } else { 0 }),
            // PROPBASER, PENDBASER: without LPIs they hold nothing.
            0x0070..=0x007c => Some(0),
            _ => None,
        }
    }

    fn write_word(&mut self, frame: Frame, offset: u32, value: u32, lanes: u32) -> Option<()> {
        match (frame, offset) {
            // Identification registers are read-only.
            (_, 0xffd0..=0xffff) => {}
            (Frame::Distributor, 0x0000) if lanes & 2 != 0 => self.enabled = value & 2 != 0,
            (Frame::Distributor, 0x0000..=0x0010) => {}
            (Frame::Distributor, 0x6100..=0x7fdf) => {
                let intid = (offset - 0x6000) / 8;
                if let (Some(shared), true) = (self.shared_of(intid), offset & 4 == 0) {
                    // Aff2, Aff1, Aff0. The bit for "any of them" does not exist here.
                    let lanes = lanes & 0x00ff_ffff;
                    let route = &mut shared.route[intid as usize % 32];
                    *route = (*route & !lanes) | (value & lanes);
                }
            }
            (Frame::Distributor, _) => {
                let (bank, register) = locate(offset)?;
                let Some(shared) = self.shared.get_mut(bank.wrapping_sub(1)) else {
                    return Some(());
                };
                let before = shared.bank.active;
                shared.bank.write(register, value, lanes);
                // An interrupt that is made active by hand belongs to whom it is routed to, unless
                // somebody has it in a list register.
                for bit in 0..32 {
                    if shared.bank.active & !before & !shared.bank.held & 1 << bit != 0 {
                        shared.owner[bit] = shared.route[bit].min(u32::from(u8::MAX)) as u8;
                    }
                }
            }
            (Frame::Redistributor(vcpu), 0x0014) => self.redistributors.get_mut(vcpu)?.asleep = value & lanes & 2 != 0,
            (Frame::Redistributor(_), 0x0000..=0x0010 | 0x0070..=0x007c) => {}
            (Frame::Redistributor(_), _) => return None,
            (Frame::Private(vcpu), _) => {
                let (0, register) = locate(offset)? else {
                    return None;
                };
                let redistributor = self.redistributors.get_mut(vcpu)?;
                redistributor.released |= redistributor.bank.write(register, value, lanes);
            }
        }
        Some(())
    }
}

/// Finds the bank of 32 interrupts and the register that an offset means. The layout is that of
/// both frames with interrupts.
fn locate(offset: u32) -> Option<(usize, Register)> {
    let register = match offset {
        0x080..=0x0ff => Register::Group,
        0x100..=0x17f => Register::SetEnable,
        0x180..=0x1ff => Register::ClearEnable,
        0x200..=0x27f => Register::SetPending,
        0x280..=0x2ff => Register::ClearPending,
        0x300..=0x37f => Register::SetActive,
        0x380..=0x3ff => Register::ClearActive,
        0x400..=0x7ff => {
            let intid = offset - 0x400;
            return Some((intid as usize / 32, Register::Priority(intid as u8 & 28)));
        }
        0xc00..=0xcff => {
            let intid = (offset - 0xc00) * 4;
            return Some((intid as usize / 32, Register::Config(intid as u8 & 16)));
        }
        _ => return None,
    };
    Some((offset as usize >> 2 & 31, register))
}
