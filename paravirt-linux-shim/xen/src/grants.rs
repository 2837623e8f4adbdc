// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Frames that the guest lends to its devices.
//!
//! ```text
//!   reference ─▶ table, of frames that the guest writes: │ flags │ domain │ frame │ × 512 each
//! ```
//! A device has only looked an entry up when it answers its request; the bits that say "in use" are
//! for those who map frames for longer, and are left alone. Each entry is read once, as one word.
//!
//! Where the table's frames are differs: either the shim has them ready and tells which they are
//! (`setup_table`), or the guest says where it wants them (`add_to_physmap`), which is memory of
//! its own: then that frame is used as it is.

use spin::Once;

use crate::abi::grant::{ENTRY, GetVersion, PER_FRAME, PERMIT_ACCESS, QuerySize, READ_ONLY, SetupTable, TYPE, status};
use crate::abi::misc::GrantCommand;
use crate::abi::{DOMID_SELF, Errno, PAGE};
use crate::memory::{Arguments, Frames, Page};

/// Frames that a table has at most.
pub const FRAMES_MAX: usize = 32;

/// What a device does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It reads.
    Read,
    /// It writes, too.
    Write,
}

/// A reference by which nothing may be done, or not that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotGranted;

/// The guest's table.
#[derive(Debug)]
pub struct Grants<P> {
    frames: [Once<P>; FRAMES_MAX],
    /// How many of them it may use.
    limit: u32,
    /// The first one's number, if the shim has them ready.
    ready: Option<u64>,
}

impl<P: Page> Grants<P> {
    /// A table of up to `limit` frames, not one of which is there yet. `ready`: those of the guest's
    /// frames that are to be the table, one after the other; otherwise the guest says.
    #[must_use]
    pub const fn new(limit: u32, ready: Option<u64>) -> Self {
        let limit = if limit > FRAMES_MAX as u32 { FRAMES_MAX as u32 } else { limit };
        Self { frames: [const { Once::new() }; FRAMES_MAX], limit, ready }
    }

    /// Makes `page` the table's frame `index`, as the guest wants; what is in it is forgotten.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: the table doesn't grow that far. A frame that is there already stays.
    pub fn place(&self, index: u64, page: P) -> Result<(), Errno> {
        let place = self.frames.get(..self.limit as usize).and_then(|frames| frames.get(usize::try_from(index).ok()?));
        place.ok_or(Errno::Invalid)?.call_once(|| {
            (0..PAGE as usize).step_by(8).for_each(|at| page.store64(at, 0));
            page
        });
        Ok(())
    }

    /// Answers `grant_table_op`: what concerns the table. Only those who serve others need the rest.
    ///
    /// # Errors
    /// [`Errno::NoSystem`]: not served; [`Errno::Fault`]; [`Errno::Invalid`]: not one at a time.
    pub fn answer<G: Arguments + Frames<Page = P>>(
        &self,
        command: GrantCommand,
        argument: u64,
        count: u32,
        guest: &G,
    ) -> Result<u64, Errno> {
        let served = matches!(command, GrantCommand::QuerySize | GrantCommand::SetupTable | GrantCommand::GetVersion);
        if !served {
            // Without `set_version` Linux takes the first.
            return Err(Errno::NoSystem);
        }
        if count != 1 {
            return Err(Errno::Invalid);
        }
        match command {
            GrantCommand::QuerySize => {
                let asked: QuerySize = guest.get(argument)?;
                let nr_frames = self.count().max(1);
                let status = own(asked.dom);
                guest.put(argument, &QuerySize { nr_frames, max_nr_frames: self.limit, status, ..asked })
            }
            GrantCommand::GetVersion => {
                let asked: GetVersion = guest.get(argument)?;
                guest.put(argument, &GetVersion { version: 1, ..asked })
            }
            _ => {
                let asked: SetupTable = guest.get(argument)?;
                let status = if own(asked.dom) == status::OKAY { self.set_up(&asked, guest)? } else { own(asked.dom) };
                guest.put(argument, &SetupTable { status, ..asked })
            }
        }
        .map(|()| 0)
    }

    /// Makes the table as large as asked for, and tells where it is.
    fn set_up<G: Arguments + Frames<Page = P>>(&self, asked: &SetupTable, guest: &G) -> Result<i16, Errno> {
        let Some(first) = self.ready else { return Err(Errno::NoSystem) };
        if asked.nr_frames > self.limit {
            return Ok(status::GENERAL_ERROR);
        }
        for index in 0..u64::from(asked.nr_frames) {
            let Some(page) = guest.page(first + index) else { return Ok(status::GENERAL_ERROR) };
            self.place(index, page)?;
            guest.put(asked.frame_list.wrapping_add(8 * index), &(first + index))?;
        }
        Ok(status::OKAY)
    }

    /// How many frames are there.
    fn count(&self) -> u32 {
        self.frames.iter().filter(|frame| frame.is_completed()).count() as u32
    }

    /// The frame that the guest has lent under `reference`.
    ///
    /// # Errors
    /// It has not, or not for that. (Whether it has such a frame is for the caller to see.)
    pub fn find(&self, reference: u32, wanted: Use) -> Result<u64, NotGranted> {
        let table = self.frames.get((reference / PER_FRAME) as usize).and_then(Once::get).ok_or(NotGranted)?;
        let entry = table.load64((reference % PER_FRAME) as usize * ENTRY);
        let flags = entry as u16;
        let granted = flags & TYPE == PERMIT_ACCESS && (wanted == Use::Read || flags & READ_ONLY == 0);
        if granted { Ok(entry >> 32) } else { Err(NotGranted) }
    }

    /// The page that the guest has lent under `reference`.
    ///
    /// # Errors
    /// It has not, or not for that, or there is no such page.
    pub fn page(&self, reference: u32, wanted: Use, guest: &impl Frames<Page = P>) -> Result<P, NotGranted> {
        guest.page(self.find(reference, wanted)?).ok_or(NotGranted)
    }
}

/// Whether the caller means itself.
const fn own(domain: u16) -> i16 {
    if domain == DOMID_SELF { status::OKAY } else { status::BAD_DOMAIN }
}

#[cfg(test)]
mod tests;
