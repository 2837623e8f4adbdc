// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the guest's kernel executes as if it were in ring 0.
//!
//! Most of it is left over from other machines: ports of a PC's devices (nothing is there: all
//! ones), registers of the processor (what a guest may know), instructions that have no meaning
//! here. What is not known is the guest's own fault.

use parzelle_xen::abi::shared::at;
use parzelle_xen::cpuid;
use parzelle_xen::instruction::{Memory, Operation, Place, Port, Register, SystemSelector, Width};
use parzelle_xen::memory::{Arguments, Page};

use crate::instructions;
use crate::run::Runner;
use crate::vcpu::register;

/// CR0 as it is for every guest: PE, MP, ET, NE, WP, AM, PG.
const CR0: u64 = 0x8005_0033;
/// CR0.TS.
const TASK_SWITCHED: u64 = 1 << 3;
/// The counter of the PC's timer: the only port where "nothing is there" is waited for.
const TIMER_PORT: u16 = 0x42;

impl Runner {
    /// Does what an instruction of the guest's kernel would have done. False: that is a fault.
    pub fn emulate(&mut self, operation: &Operation) -> bool {
        match *operation {
            Operation::ReadMsr => self.read_msr(),
            Operation::WriteMsr => self.write_msr(),
            Operation::ReadControl { control, register } => {
                self.read_control(control).map(|value| self.set(register, value)).is_some()
            }
            Operation::WriteControl { control, register } => {
                let value = self.get(register);
                self.write_control(control, value)
            }
            Operation::ReadDebug { debug, register } => {
                self.set(register, self.vcpu.debug[usize::from(debug & 7)]);
                true
            }
            Operation::WriteDebug { debug, register } => {
                self.vcpu.debug[usize::from(debug & 7)] = self.get(register);
                true
            }
            Operation::ClearTaskSwitched => {
                self.vcpu.task_switched = false;
                true
            }
            Operation::In { port, width } => {
                let value = self.input(port, width);
                let mut registers = self.vcpu.registers();
                registers.set(register::RAX as Register, width, value);
                self.vcpu.set_registers(&registers);
                true
            }
            // Nobody listens. Events are masked elsewhere. Caches are coherent.
            Operation::Out { .. }
            | Operation::Cli
            | Operation::Sti
            | Operation::Halt
            | Operation::FlushCaches
            | Operation::LoadTable(..)
            | Operation::LoadSelector(..) => true,
            Operation::Invlpg(_) => self.flush(),
            Operation::StoreTable(_, memory) => self.store_bytes(&memory, &[0; 10]),
            Operation::StoreSelector(which, place) => self.store_selector(which, place),
            Operation::ReadPerformanceCounter => {
                self.answer([0, 0]);
                true
            }
            Operation::ReadCounter { .. }
            | Operation::SetXcr
            | Operation::SwapGs
            | Operation::Syscall
            | Operation::Interrupt(_)
            | Operation::Cpuid
            | Operation::CpuidForced
            | Operation::Store(_) => false,
        }
    }

    /// `cpuid`, with the hypervisor's view.
    pub fn cpuid(&mut self) {
        let [leaf, subleaf] = [register::RAX, register::RCX].map(|number| self.vcpu.general[number] as u32);
        let facts = cpuid::Facts { vcpu: self.vcpu.index, ..self.shared.facts };
        let [eax, ebx, ecx, edx] = cpuid::answer(leaf, subleaf, &facts, instructions::cpuid);
        self.vcpu.general[register::RAX] = eax.into();
        self.vcpu.general[register::RBX] = ebx.into();
        self.vcpu.general[register::RCX] = ecx.into();
        self.vcpu.general[register::RDX] = edx.into();
    }

    fn get(&self, register: Register) -> u64 {
        self.vcpu.general[usize::from(register & 15)]
    }

    fn set(&mut self, register: Register, value: u64) {
        self.vcpu.general[usize::from(register & 15)] = value;
    }

    /// Puts a value into edx:eax.
    pub(crate) fn answer(&mut self, [low, high]: [u32; 2]) {
        self.vcpu.general[register::RAX] = low.into();
        self.vcpu.general[register::RDX] = high.into();
    }

    fn read_control(&self, control: u8) -> Option<u64> {
        match control {
            0 => Some(CR0 | if self.vcpu.task_switched { TASK_SWITCHED } else { 0 }),
            2 => self.info().map(|(page, info)| page.load64(info + at::CR2)),
            3 => self.space.root().map(|root| root << 12),
            4 => Some(self.vcpu.cr4),
            8 => Some(0),
            _ => None,
        }
    }

    fn write_control(&mut self, control: u8, value: u64) -> bool {
        match control {
            0 => self.vcpu.task_switched = value & TASK_SWITCHED != 0,
            2 => {
                if let Some((page, info)) = self.info() {
                    page.store64(info + at::CR2, value);
                }
            }
            4 => self.vcpu.cr4 = value,
            8 => {}
            // Roots are set by hypercalls.
            _ => return false,
        }
        true
    }

    /// What is read where nothing is.
    fn input(&self, port: Port, width: Width) -> u64 {
        let port = match port {
            Port::Number(number) => number.into(),
            Port::Dx => self.vcpu.general[register::RDX] as u16,
        };
        if port == TIMER_PORT { parzelle_sys::counter() >> 8 & 0xff } else { width.cut(u64::MAX) }
    }

    fn flush(&mut self) -> bool {
        let space = &self.space;
        let here = parzelle_xen::decode::Flush::All(parzelle_xen::decode::Where::Here);
        space
            .turn(|turn| {
                turn.flush(here, space)?;
                turn.commit()
            })
            .is_some_and(|result| result.is_ok())
    }

    fn store_bytes(&mut self, memory: &Memory, bytes: &[u8]) -> bool {
        let Some(instruction) = self.fetch() else { return false };
        let address = memory.address(&self.vcpu.registers(), instruction.length, self.bases());
        self.space.write(address, bytes).is_ok()
    }

    fn store_selector(&mut self, which: SystemSelector, place: Place) -> bool {
        let value = match which {
            SystemSelector::Ldt | SystemSelector::Task => 0,
            SystemSelector::MachineStatus => self.read_control(0).unwrap_or(CR0),
        };
        match place {
            Place::Register(number, width) => {
                let mut registers = self.vcpu.registers();
                registers.set(number, width, value);
                self.vcpu.set_registers(&registers);
                true
            }
            Place::Memory(memory) => self.store_bytes(&memory, &(value as u16).to_le_bytes()),
        }
    }
}
