// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Page faults that are the shim's: most are mended, or a store by one of two instructions.
//!
//! ```text
//!   #PF ─▶ quick_fault ─┬─ mended ─────────────────▶ the same instruction again
//!                       ├─ mov, xchg to a table ───▶ the next one
//!                       └─ else: nothing is changed ▶ turn ─▶ trap
//! ```
//! The guest's registers stay where the assembly has put them: most of them in the vCPU, the rest in `Guest`.

use parzelle_xen::mmu::{Fault, Mode};

use crate::deliver::vector;
use crate::own;
use crate::run::{self, Runner};
use crate::vcpu::{USER_CODE, USER_DATA, register};

/// RFLAGS.TF: after the instruction there is a trap.
const SINGLE_STEP: u64 = 1 << 8;

/// Error code of a write to what may be read.
const TABLE: u64 = 1 << 1 | 1 << 0;

/// A store of 64 bits from a register.
#[derive(Debug, PartialEq, Eq)]
struct Plain {
    /// The register.
    from: usize,
    /// It takes what was there: `xchg`.
    exchanges: bool,
    /// The register with the address, and what is added.
    to: (usize, u64),
    /// Bytes of the instruction.
    length: u64,
}

impl Plain {
    /// Reads its first bytes: REX.W, `xchg` or `mov` (87, 89), ModRM with a base and at most 8 bits besides (Intel
    /// SDM, Vol. 2, §2.1.5). Not with rsp, which lies elsewhere.
    const fn decode(bytes: u64) -> Option<Self> {
        let [rex, opcode, modrm, offset, ..] = bytes.to_le_bytes();
        let (mode, low) = (modrm >> 6, modrm & 7);
        if rex & 0xfa != 0x48 || !matches!(opcode, 0x87 | 0x89) || mode > 1 || low == 4 || mode == 0 && low == 5 {
            return None;
        }
        let from = (modrm >> 3 & 7 | (rex & 4) << 1) as usize;
        let base = (low | (rex & 1) << 3) as usize;
        if from == register::RSP {
            return None;
        }
        let offset = if mode == 1 { (offset as i8 as i64).cast_unsigned() } else { 0 };
        Some(Self { from, exchanges: opcode == 0x87, to: (base, offset), length: 3 + mode as u64 })
    }
}

impl Runner {
    /// Deals with a page fault, if that is a short affair. `false`: nothing has been done.
    #[inline]
    pub(crate) fn quick_fault(&mut self, user: bool) -> bool {
        let page = self.vcpu.page();
        let (address, error) = (page.address, page.error);
        if page.vector != u64::from(vector::PAGE) {
            return false;
        }
        let lost = [(register::RAX, page.rax), (register::RCX, page.rcx), (register::R11, page.r11)];
        for (register, value) in lost {
            self.vcpu.general[register] = value;
        }
        let mode = if user { Mode::User } else { Mode::Kernel };
        let is_table = !user && error & TABLE == TABLE;
        let stored = is_table && self.quick_store(address).is_some();
        if !stored {
            // What looked at the instruction may have faulted itself.
            let page = self.vcpu.page();
            (page.vector, page.error, page.address) = (vector::PAGE.into(), error, address);
        }
        let done = stored || self.space.fault(address, error, mode) == Fault::Mended;
        if done {
            *self.vcpu.own(own::EXIT) = run::exit(user, false);
            if !user {
                let page = self.vcpu.page();
                (page.cs, page.ss) = (USER_CODE.into(), USER_DATA.into());
            }
        }
        done
    }

    /// Carries out a store of the guest's kernel into one of its tables, if it is a plain one.
    fn quick_store(&mut self, address: u64) -> Option<()> {
        let page = self.vcpu.page();
        let (rip, rflags) = (page.rip, page.rflags);
        let [bytes, _] = self.space.pair(rip)?;
        let Plain { from, exchanges, to, length } = Plain::decode(bytes)?;
        if self.vcpu.general[to.0 & 15].wrapping_add(to.1) != address || rflags & SINGLE_STEP != 0 {
            return None;
        }
        let value = self.vcpu.general[from & 15];
        let old = self.space.turn(|turn| turn.exchange(address, value))??;
        // Roots are not among it: it can't fail.
        let _ = self.commit();
        if exchanges {
            self.vcpu.general[from & 15] = old;
        }
        self.vcpu.page().rip = rip.wrapping_add(length);
        Some(())
    }
}
