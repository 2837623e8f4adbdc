// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where everything lies.

use super::tables::{Area, Tables};
use super::{Description, Entry, Impossible};
use crate::abi::PAGE;
use crate::abi::version::{HYPERVISOR_END, HYPERVISOR_START};

/// The first mapping ends on such a boundary.
const BLOCK: u64 = 4 << 20;
/// Free memory behind the stack.
const PADDING: u64 = 512 << 10;
/// Bytes of a command line, with the final zero.
const COMMAND_LINE: usize = 1024;
/// A guest whose needs grow past any memory.
const TOO_MUCH: Impossible = Impossible::TooSmall { needs: u64::MAX / PAGE };

/// Pseudo-physical addresses of what is loaded, and the page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Frames of memory.
    pub frames: u64,
    /// The address of pseudo-physical address 0 in the first mapping.
    pub virt_base: u64,
    /// Where the initrd begins; none: there is none.
    pub initrd: Option<u64>,
    /// Where the list of machine frames begins.
    pub p2m: u64,
    /// Its frames, with the tables of its own that map it.
    pub p2m_frames: u64,
    /// Where the guest finds it.
    pub p2m_address: u64,
    /// The page of `start_info`.
    pub start_info: u64,
    /// The page of xenstore's rings.
    pub store: u64,
    /// The page of the console's rings.
    pub console: u64,
    /// A page of stack.
    pub stack: u64,
    /// The page that is to be filled with entries to hypercalls, if the kernel has one.
    pub hypercall_page: Option<u64>,
    /// The page tables.
    pub tables: Tables,
    /// Whether the initrd is known to the guest by its frame.
    pub(super) initrd_by_frame: bool,
    entry: u64,
}

impl Layout {
    /// Lays a guest out.
    ///
    /// # Errors
    /// Says why that is impossible.
    pub fn of(description: &Description<'_>) -> Result<Self, Impossible> {
        if description.command_line.len() >= COMMAND_LINE {
            return Err(Impossible::CommandLine);
        }
        if description.frames == 0 || description.frames > 1 << 34 {
            return Err(TOO_MUCH);
        }
        let notes = &description.kernel.notes;
        let (_, kernel_end) = description.kernel.extent()?;
        let mut next = Next(kernel_end);
        let initrd = (description.initrd > 0).then_some(description.initrd);
        let p2m_bytes = description.frames * 8;

        // In the first mapping.
        let mapped_initrd = initrd.filter(|_| !notes.initrd_by_frame).map(|bytes| next.take(bytes)).transpose()?;
        let mapped_p2m = if notes.init_p2m.is_none() { Some(next.take(p2m_bytes)?) } else { None };
        let [start_info, store, console] = [next.take(PAGE)?, next.take(PAGE)?, next.take(PAGE)?];
        let first = first_area(notes.virt_base, next.0)?;
        let tables_at = next.take(PAGE * (1 + first.tables()))?;
        let stack = next.take(PAGE)?;

        // Behind it.
        let mut next = Next(first.physical + first.size());
        let initrd_at = match (mapped_initrd, initrd) {
            (None, Some(bytes)) => Some(next.take(bytes)?),
            (mapped, _) => mapped,
        };
        let p2m = match mapped_p2m {
            Some(at) => at,
            None => next.take(p2m_bytes)?,
        };
        let second = notes.init_p2m.map(|address| Area::of(address, p2m_bytes, p2m)).transpose()?;
        let second_at = next.take(PAGE * second.map_or(0, |area| area.tables()))?;
        if second.is_some_and(|area| area.shares_a_slot(&first) || lies_in_the_hole(&area)) || lies_in_the_hole(&first)
        {
            return Err(Impossible::Places);
        }

        let needs = next.0.div_ceil(PAGE);
        if needs > description.frames {
            return Err(Impossible::TooSmall { needs });
        }
        let physical = |address: u64| address.wrapping_sub(notes.virt_base);
        let hypercall_page = notes.hypercall_page.map(physical);
        let is_page = |at: &u64| at.is_multiple_of(PAGE) && *at < kernel_end;
        if hypercall_page.is_some_and(|at| !is_page(&at)) || physical(notes.entry) >= kernel_end {
            return Err(Impossible::Places);
        }
        Ok(Self {
            frames: description.frames,
            virt_base: notes.virt_base,
            initrd: initrd_at,
            p2m,
            p2m_frames: p2m_bytes.div_ceil(PAGE) + second.map_or(0, |area| area.tables()),
            p2m_address: notes.init_p2m.unwrap_or(notes.virt_base.wrapping_add(p2m)),
            start_info,
            store,
            console,
            stack,
            hypercall_page,
            tables: Tables::new(first, tables_at, second, second_at),
            initrd_by_frame: notes.initrd_by_frame,
            entry: notes.entry,
        })
    }

    /// What the boot vCPU begins with.
    #[must_use]
    pub const fn entry(&self) -> Entry {
        Entry {
            rip: self.entry,
            rsp: self.address_of(self.stack + PAGE),
            rsi: self.address_of(self.start_info),
            root: self.tables.root(),
        }
    }

    /// The address of a pseudo-physical one in the first mapping.
    pub(super) const fn address_of(&self, physical: u64) -> u64 {
        self.virt_base.wrapping_add(physical)
    }
}

/// The first mapping: what lies before the tables, the tables, the stack, and some more. The more
/// tables the longer, the longer the more tables: a few rounds, and each only grows.
fn first_area(virt_base: u64, before: u64) -> Result<Area, Impossible> {
    let mut tables = 0;
    loop {
        let end = before + PAGE * (1 + tables + 1) + PADDING;
        let area = Area::of(virt_base, end.next_multiple_of(BLOCK), 0)?;
        if area.tables() == tables {
            return Ok(area);
        }
        tables = area.tables();
    }
}

/// Whether an area touches what the hypervisor has to itself.
fn lies_in_the_hole(area: &Area) -> bool {
    area.start < HYPERVISOR_END && area.last >= HYPERVISOR_START
}

/// The next free byte: a page boundary.
struct Next(u64);

impl Next {
    /// Takes so many bytes, in whole pages.
    fn take(&mut self, bytes: u64) -> Result<u64, Impossible> {
        let at = self.0;
        // Below 2^47 nothing here overflows; nobody has as much.
        let end = bytes.checked_next_multiple_of(PAGE).and_then(|bytes| at.checked_add(bytes));
        self.0 = end.filter(|end| *end < 1 << 47).ok_or(TOO_MUCH)?;
        Ok(at)
    }
}
