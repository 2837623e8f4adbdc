// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Operations on whole tables (`mmuext_op`).

use super::{Service, Turn};
use crate::abi::mmu::{MmuextCommand, MmuextOp};
use crate::abi::{Errno, PAGE};
use crate::decode::{Flush, Where};
use crate::memory::{Arguments, Frames, Page};

/// What an operation leaves to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// Nothing.
    Done,
    /// To set the LDT.
    Ldt {
        /// Its address.
        address: u64,
        /// How many entries.
        entries: u64,
    },
}

impl<S: Service, F: Frames> Turn<'_, '_, S, F> {
    /// Does one entry of an `mmuext_op`. Roots and flushes hold after [`Self::commit`].
    ///
    /// # Errors
    /// [`Errno::Invalid`], [`Errno::NoMemory`], [`Errno::Fault`] as the operations say;
    /// [`Errno::NoSystem`]: there is no such operation.
    pub fn extended(&mut self, operation: &MmuextOp, arguments: &impl Arguments) -> Result<Extended, Errno> {
        use MmuextCommand as C;
        let MmuextOp { cmd, arg1, arg2, .. } = *operation;
        let command = C::from_number(cmd.into()).ok_or(Errno::NoSystem)?;
        match command {
            C::PinL1 => self.pin(arg1, 1)?,
            C::PinL2 => self.pin(arg1, 2)?,
            C::PinL3 => self.pin(arg1, 3)?,
            C::PinL4 => self.pin(arg1, 4)?,
            C::Unpin => self.unpin(arg1)?,
            C::NewBaseptr => self.set_root(0, Some(arg1))?,
            C::NewUserBaseptr => self.set_root(1, (arg1 != 0).then_some(arg1))?,
            C::TlbFlushLocal => self.flush(Flush::All(Where::Here), arguments)?,
            C::InvlpgLocal => self.flush(Flush::Page(Where::Here), arguments)?,
            C::TlbFlushMulti => self.flush(Flush::All(Where::Mask(arg2)), arguments)?,
            C::InvlpgMulti => self.flush(Flush::Page(Where::Mask(arg2)), arguments)?,
            C::TlbFlushAll => self.flush(Flush::All(Where::Everywhere), arguments)?,
            C::InvlpgAll => self.flush(Flush::Page(Where::Everywhere), arguments)?,
            // Memory is coherent, and no device is behind the kernel's back.
            C::FlushCache | C::FlushCacheGlobal => {}
            // `nr_ents` is an `unsigned int`: what is beside it in the union means nothing, and Linux
            // leaves there what was.
            C::SetLdt => return Ok(Extended::Ldt { address: arg1, entries: arg2 & u64::from(u32::MAX) }),
            C::ClearPage => self.write_page(arg1, |_| 0)?,
            C::CopyPage => {
                let from = self.page(arg2)?;
                self.write_page(arg1, |at| from.load64(at))?;
            }
        }
        Ok(Extended::Done)
    }

    /// Writes all of a frame that is no table.
    fn write_page(&self, frame: u64, word: impl Fn(usize) -> u64) -> Result<(), Errno> {
        let to = self.page(frame)?;
        if self.mmu.book.level(frame) != 0 {
            return Err(Errno::Invalid);
        }
        (0..PAGE as usize).step_by(8).for_each(|at| to.store64(at, word(at)));
        Ok(())
    }
}
