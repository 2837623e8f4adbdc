// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Exceptions: which are the guest's, and what is done about the others.
//!
//! ```text
//!   #PF ──┬─ accessed, dirty, not installed yet ─▶ mended
//!         ├─ its kernel writes into a table ─────▶ done for it
//!         └─ else ───────────────────────────────▶ the guest's #PF
//!   #GP, #UD ──┬─ int n, int3 ───────────────────▶ that exception, if its gate allows it
//!              ├─ its kernel's privileged ones ──▶ emulate
//!              └─ else ──────────────────────────▶ the guest's
//! ```

use parzelle_xen::abi::PAGE;
use parzelle_xen::abi::shared::at;
use parzelle_xen::instruction::{Bases, Instruction, LONGEST, Operation, decode};
use parzelle_xen::memory::{Arguments, Page};
use parzelle_xen::mmu::{Fault, Mode};

use crate::deliver::vector;
use crate::failure::Failure;
use crate::instructions::{fs_base, gs_base};
use crate::own;
use crate::run::Runner;

/// Error code of a page fault: it was in user mode. All of the guest is, its kernel too.
const USER_FAULT: u64 = 1 << 2;
/// An error code that names an entry of the IDT.
const OF_IDT: u32 = 1 << 1;

impl Runner {
    /// An exception of the guest.
    ///
    /// # Errors
    /// Nobody handles it.
    pub fn trap(&mut self) -> Result<(), Failure> {
        let page = self.vcpu.page();
        let (number, error, address) = (page.vector as u8, page.error, page.address);
        match number {
            vector::PAGE => self.page_fault(address, error),
            vector::PROTECTION if self.is_breakpoint() => self.interrupt(vector::BREAKPOINT, 1),
            // The only one of those that is more in a user program is Xen's `cpuid`.
            vector::INVALID if self.vcpu.user && self.is_not_forced() => self.raise(number, None),
            vector::PROTECTION | vector::INVALID => self.privileged(number, error as u32),
            vector::DEBUG => {
                self.vcpu.debug[6] = address;
                self.raise(number, None)
            }
            _ => {
                let has_error = vector::WITH_ERROR >> number.min(63) & 1 != 0;
                self.raise(number, has_error.then_some(error as u32))
            }
        }
    }

    /// Whether the instruction is `int3`.
    fn is_breakpoint(&self) -> bool {
        self.space.pair(self.vcpu.rip).is_some_and(|[bytes, _]| bytes & 0xff == 0xcc)
    }

    /// Whether the instruction is certainly not one behind Xen's prefix: `ud2`, "xen".
    fn is_not_forced(&self) -> bool {
        const PREFIX: u64 = 0x6e_6578_0b0f;
        self.space.pair(self.vcpu.rip).is_some_and(|[bytes, _]| bytes & 0xff_ffff_ffff != PREFIX)
    }

    /// The processor refused to go where the guest's kernel was to go on: it is as if that had
    /// faulted there.
    ///
    /// # Errors
    /// Nobody handles it.
    pub fn refused(&mut self) -> Result<(), Failure> {
        let error = self.vcpu.page().error as u32;
        self.raise(vector::PROTECTION, Some(error))
    }

    fn page_fault(&mut self, address: u64, error: u64) -> Result<(), Failure> {
        let mode = if self.vcpu.user { Mode::User } else { Mode::Kernel };
        match self.space.fault(address, error, mode) {
            Fault::Mended => return Ok(()),
            Fault::Store(physical) if self.store(address, physical) => return Ok(()),
            Fault::Store(_) | Fault::Guest => {}
        }
        if let Some((page, info)) = self.info() {
            page.store64(info + at::CR2, address);
        }
        let shown = if self.vcpu.user { error } else { error & !USER_FAULT };
        self.raise(vector::PAGE, Some(shown as u32))
    }

    /// Carries out a store of the guest's kernel into one of its tables; false: it is none that
    /// could be.
    fn store(&mut self, address: u64, physical: u64) -> bool {
        let Some(Instruction { length, operation: Operation::Store(store) }) = self.fetch() else { return false };
        let mut registers = self.vcpu.registers();
        // What is written may begin before the address that faulted, never behind it.
        let from = store.address(&registers, length, self.bases());
        let Some(place) = physical.checked_sub(address.wrapping_sub(from)) else { return false };
        if place / PAGE != physical / PAGE {
            return false;
        }
        let stored = self.space.turn(|turn| {
            turn.store(place, store.width, |old| store.execute(old, &mut registers))?;
            turn.commit()
        });
        if stored != Some(Ok(())) {
            return false;
        }
        self.vcpu.set_registers(&registers);
        self.skip(length);
        true
    }

    fn privileged(&mut self, number: u8, error: u32) -> Result<(), Failure> {
        let Some(Instruction { length, operation }) = self.fetch() else {
            return self.raise(number, (number == vector::PROTECTION).then_some(error));
        };
        if let Operation::Interrupt(wanted) = operation
            && number == vector::PROTECTION
        {
            return self.interrupt(wanted, length);
        }
        let done = match operation {
            Operation::CpuidForced | Operation::Cpuid => {
                self.cpuid();
                true
            }
            _ => !self.vcpu.user && self.emulate(&operation),
        };
        if done {
            self.skip(length);
            return Ok(());
        }
        self.raise(number, (number == vector::PROTECTION).then_some(error))
    }

    /// `int n`, `int3`: gates are closed to all but the kernel, so the instruction tells what it was.
    fn interrupt(&mut self, wanted: u8, length: u8) -> Result<(), Failure> {
        let is_open = self.vcpu.traps.gate(wanted).is_some_and(|gate| gate.from_user || !self.vcpu.user);
        if !is_open {
            return self.raise(vector::PROTECTION, Some(u32::from(wanted) << 3 | OF_IDT));
        }
        self.skip(length);
        self.raise(wanted, None)
    }

    /// Goes on behind an instruction.
    fn skip(&mut self, length: u8) {
        self.vcpu.rip = self.vcpu.rip.wrapping_add(length.into());
    }

    /// The instruction that the guest is at, if it is one of those that are emulated.
    #[must_use]
    pub fn fetch(&self) -> Option<Instruction> {
        let rip = self.vcpu.rip;
        let mut bytes = [0; LONGEST];
        // The next page need not be there.
        let here = (PAGE - rip % PAGE).min(LONGEST as u64) as usize;
        let (first, rest) = bytes.split_at_mut(here);
        self.space.read(rip, first).ok()?;
        let whole = rest.is_empty() || self.space.read(rip.wrapping_add(here as u64), rest).is_ok();
        let length = if whole { LONGEST } else { here };
        bytes.get(..length).and_then(decode)
    }

    /// Bases of FS and GS, as the guest has them now.
    #[must_use]
    pub fn bases(&mut self) -> Bases {
        let gs = if self.vcpu.user { *self.vcpu.own(own::GS_USER) } else { gs_base() };
        Bases { fs: fs_base(), gs }
    }
}
