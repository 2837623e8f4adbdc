// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Writing a guest's world into its memory.

use zerocopy::IntoBytes;

use super::tables::Tables;
use super::{Description, Impossible, Layout};
use crate::abi::PAGE;
use crate::abi::start::{StartInfo, flag};

/// Words that are written at once.
const WORDS: usize = 512;
/// What a guest is told of its hypervisor.
const MAGIC: &[u8] = b"xen-3.0-x86_64";

/// The guest's memory before it runs. Addresses are pseudo-physical; [`Layout::of`] has checked that
/// all that is written lies in the memory it was told of.
pub trait Ram {
    /// Copies bytes there.
    fn write(&mut self, at: u64, bytes: &[u8]);

    /// Zeroes that many bytes.
    fn zero(&mut self, at: u64, bytes: u64);
}

impl Layout {
    /// Writes all but the initrd, which the caller copies to [`Layout::initrd`], and the hypercall
    /// page.
    ///
    /// # Errors
    /// [`Impossible::Kernel`].
    pub fn write(&self, description: &Description<'_>, ram: &mut impl Ram) -> Result<(), Impossible> {
        for segment in description.kernel.segments() {
            let segment = segment?;
            ram.write(segment.address, segment.bytes);
            let loaded = segment.bytes.len() as u64;
            ram.zero(segment.address + loaded, segment.size - loaded);
        }
        identity(0, self.frames, |offset, words| ram.write(self.p2m + offset, words.as_bytes()));
        for page in [self.start_info, self.store, self.console, self.stack] {
            ram.zero(page, PAGE);
        }
        ram.write(self.start_info, self.start_info(description).as_bytes());
        for table in self.tables.iter() {
            let mut entries = [0; WORDS];
            for (entry, index) in entries.iter_mut().zip(Tables::indices()) {
                *entry = self.tables.entry(&table, index);
            }
            ram.write(table.physical, entries.as_bytes());
        }
        Ok(())
    }

    /// What the guest finds at the address in rsi.
    #[must_use]
    pub fn start_info(&self, description: &Description<'_>) -> StartInfo {
        let by_frame = self.initrd_by_frame && self.initrd.is_some();
        let mut info = StartInfo {
            nr_pages: self.frames,
            shared_info: description.shared_info,
            flags: flag::VIRT_P2M_4TOOLS | if by_frame { flag::MOD_START_PFN } else { 0 },
            store_mfn: self.store / PAGE,
            store_evtchn: description.store.unwrap_or(0),
            console_mfn: self.console / PAGE,
            console_evtchn: description.console.unwrap_or(0),
            pt_base: self.address_of(self.tables.root()),
            nr_pt_frames: self.tables.first_frames(),
            mfn_list: self.p2m_address,
            mod_start: self.initrd.map_or(0, |at| if by_frame { at / PAGE } else { self.address_of(at) }),
            mod_len: description.initrd,
            first_p2m_pfn: self.p2m / PAGE,
            nr_p2m_frames: self.p2m_frames,
            ..StartInfo::default()
        };
        info.magic.iter_mut().zip(MAGIC).for_each(|(to, from)| *to = *from);
        info.cmd_line.iter_mut().zip(description.command_line).for_each(|(to, from)| *to = *from);
        info
    }
}

/// Hands out a table of frames `first`, `first` + 1, … (`count` of them), piece by piece: offset in
/// bytes, and words. Both tables, of machine frames and of pseudo-physical ones, are such.
pub fn identity(first: u64, count: u64, mut put: impl FnMut(u64, &[u64])) {
    let mut words = [0; WORDS];
    let mut done = 0;
    while done < count {
        let now = (count - done).min(WORDS as u64);
        words.iter_mut().zip(first + done..).for_each(|(word, frame)| *word = frame);
        put(done * 8, words.get(..now as usize).unwrap_or(&words));
        done += now;
    }
}
