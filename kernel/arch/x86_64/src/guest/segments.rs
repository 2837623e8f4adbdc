// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's own segments: five entries of the GDT, and an LDT in the second page of its vCPU's context.
//! All are of ring 3; the processor sees them only while the vCPU is loaded.

use super::sides::{LOCAL_TABLE, Sides};
use crate::descriptors::{ACCESSED, CODE, Gdt, PRESENT, READ_WRITE, SEGMENT, USER, system};
use crate::instructions::{self as cpu, instructions};
use crate::layout::PAGE;
use crate::machine::Processor;
#[cfg(target_os = "none")]
use core::arch::asm;
use parzelle_abi::x86_64::LDT_ENTRIES;

/// The entries of the GDT that are a guest's.
pub(super) const GUESTS: [usize; 5] = [4, 12, 13, 14, 15];
/// The selector of its LDT.
const LOCAL: u16 = 0x48;
/// System segment of type 2: a local descriptor table.
const LOCAL_KIND: u64 = 2 << 40;

instructions! {
    /// Reads DS, ES, FS and the user's GS.
    ///
    /// # Safety
    /// It only reads.
    unsafe fn segments() -> [u16; 4] {
        let (ds, es, fs, gs): (u32, u32, u32, u32);
        asm!(
            "mov {:e}, ds", "mov {:e}, es", "mov {:e}, fs", "mov {:e}, gs",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs, options(nomem, nostack, preserves_flags)
        );
        [ds as u16, es as u16, fs as u16, gs as u16]
    }

    /// Loads DS, ES, FS and GS, as [`cpu::null_segments`].
    ///
    /// # Safety
    /// As there; and the selectors must be null, or of segments that can be read in ring 3.
    unsafe fn load_segments(ds: u16, es: u16, fs: u16, gs: u16) {
        asm!(
            "mov ds, {:e}", "mov es, {:e}", "mov fs, {:e}", "swapgs", "mov gs, {:e}", "swapgs",
            in(reg) u32::from(ds), in(reg) u32::from(es), in(reg) u32::from(fs), in(reg) u32::from(gs),
            options(nostack, preserves_flags)
        )
    }

    /// Loads a local descriptor table; 0: none.
    ///
    /// # Safety
    /// The selector must be that of one, which stays.
    unsafe fn load_local(selector: u16) {
        asm!("lldt {:x}", in(reg) selector, options(nostack, preserves_flags))
    }
}

/// What a guest may have for a segment: one of ring 3, marked accessed, or none. `None`: not that.
pub(super) const fn checked(asked: u64) -> Option<u64> {
    if asked & PRESENT == 0 {
        return Some(0);
    }
    if asked & (SEGMENT | USER) == SEGMENT | USER { Some(asked | ACCESSED) } else { None }
}

/// Whether DS, ES, FS or GS take a segment: of data, or of code that may be read.
const fn is_readable(descriptor: u64) -> bool {
    descriptor & PRESENT != 0 && descriptor & USER == USER && descriptor & (CODE | READ_WRITE) != CODE
}

/// The LDT of a vCPU.
#[derive(Clone, Copy)]
pub(super) struct Local(u64);

impl Local {
    /// In the pages of a context.
    ///
    /// # Safety
    /// While the value is used, these two pages are mapped, writable, and only the core that asks uses them.
    pub(super) const unsafe fn of(context: u64) -> Local {
        Local(context + LOCAL_TABLE)
    }

    /// Where entry `index` lies: made to be one of the table, whatever is asked.
    fn entry(self, index: u64) -> *mut u64 {
        (self.0 + index % LDT_ENTRIES * 8) as *mut u64
    }

    /// Empties one half of it, 0 or 1: all of it at once takes too long.
    pub(super) fn clear(self, half: u64) {
        // SAFETY: a part of the page, by the contract of `of`.
        unsafe { cpu::zero(self.entry(half % 2 * (LDT_ENTRIES / 2)), (PAGE / 16) as usize) };
    }
}

/// Whether a selector may be loaded into DS, ES, FS or GS.
fn is_loadable(gdt: &Gdt, local: Local, selector: u16) -> bool {
    let index = selector / 8;
    is_readable(if selector & 4 == 0 {
        gdt.get(index as usize).copied().unwrap_or(0)
    } else if u64::from(index) < LDT_ENTRIES {
        // SAFETY: an entry of the table, by the contract of `Local::of`.
        unsafe { local.entry(index.into()).read() }
    } else {
        0
    })
}

/// Puts a checked segment into the place that `index` names, for the processor as well. `false`: there is none.
fn put(gdt: &mut Gdt, sides: &mut Sides, local: Local, index: u64, segment: u64) -> bool {
    if let Some(place) = GUESTS.iter().position(|&slot| slot as u64 == index) {
        sides.segments[place] = segment;
        gdt[GUESTS[place] % 16] = segment;
    } else if index >> 16 == 1 && index & 0xffff < LDT_ENTRIES {
        // SAFETY: an entry of the table, by the contract of `Local::of`; one store, as the processor reads it.
        unsafe { local.entry(index & 0xffff).write_volatile(segment) };
    } else {
        return false;
    }
    true
}

impl Processor {
    fn local(&self) -> Local {
        // SAFETY: the loaded context is mapped in the loaded root, and a guest's has two pages (`Machine`'s contract).
        unsafe { Local::of(self.context) }
    }

    /// See [`put`].
    pub(super) fn set_segment(&mut self, index: u64, segment: u64) -> bool {
        let (local, mut sides) = (self.local(), *self.sides());
        let known = put(&mut self.block.gdt, &mut sides, local, index, segment);
        self.sides().segments = sides.segments;
        known
    }

    /// Keeps the segment registers of the loaded vCPU, and takes its segments from the processor.
    #[cold]
    pub(crate) fn save_sides(&mut self) {
        // SAFETY: it only reads.
        self.sides().selectors = unsafe { segments() };
        GUESTS.into_iter().for_each(|slot| self.block.gdt[slot % 16] = 0);
        // SAFETY: none is always right.
        unsafe { load_local(0) };
    }

    /// Gives the processor the loaded vCPU's segments, then its segment registers. Changes their bases.
    pub(super) fn load_sides(&mut self) {
        let &mut Sides { segments, selectors, .. } = self.sides();
        for (slot, segment) in GUESTS.into_iter().zip(segments) {
            self.block.gdt[slot % 16] = segment;
        }
        let local = self.local();
        let [low, high] = system(local.0, PAGE - 1, LOCAL_KIND);
        self.block.gdt[LOCAL as usize / 8] = low;
        self.block.gdt[LOCAL as usize / 8 + 1] = high;
        // SAFETY: describes the page behind the context, where nothing stands but what `checked` has let pass.
        unsafe { load_local(LOCAL) };
        // One that has been changed since it was loaded is null now.
        let loadable = |selector| if is_loadable(&self.block.gdt, local, selector) { selector } else { 0 };
        let [ds, es, fs, gs] = selectors.map(loadable);
        // SAFETY: that was just looked at; the bases are loaded next.
        unsafe { load_segments(ds, es, fs, gs) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptors::{USER_CODE, USER_DATA, gdt};

    const CODE_32: u64 = 0x00cf_fb00_0000_ffff;
    const DATA_32: u64 = 0x00cf_f300_0000_ffff;

    #[test]
    fn a_guest_gets_segments_of_ring_3_and_nothing_else() {
        assert_eq!(checked(CODE_32), Some(CODE_32));
        assert_eq!(checked(CODE_32 & !ACCESSED), Some(CODE_32));
        assert_eq!(checked(0x00cf_7b00_0000_ffff), Some(0), "absent");
        for refused in [0x00cf_9b00_0000_ffff, 0x0000_e900_0000_0000, 0x0000_ec00_0008_0000, 0x00cf_bb00_0000_ffff] {
            assert_eq!(checked(refused), None, "{refused:#x}");
        }
        assert!(is_readable(CODE_32) && is_readable(DATA_32) && is_readable(0x00cf_f100_0000_ffff));
        assert!(GUESTS.iter().all(|&slot| gdt(0)[slot] == 0));
    }

    /// A core's table as it is while a guest is loaded, and a context of two pages for it.
    fn guest() -> (Gdt, Sides, Local, &'static mut [u64]) {
        let context = vec![0u64; 2 * PAGE as usize / 8].leak();
        // SAFETY: leaked, and looked at by the test only when the code is not.
        let local = unsafe { Local::of(context.as_mut_ptr() as u64) };
        let mut table = gdt(0xffff_8000_1234_0000);
        [table[9], table[10]] = system(local.0, PAGE - 1, LOCAL_KIND);
        (table, Sides::NONE, local, context)
    }

    #[test]
    fn nothing_of_the_kernel_can_be_loaded() {
        let (table, _, local, _) = guest();
        let own = (0..=u16::MAX).filter(|&selector| is_loadable(&table, local, selector));
        // User data twice, whatever the privilege that is asked for.
        assert!(own.map(|selector| selector & !3).eq([0x18, 0x18, 0x18, 0x18, 0x28, 0x28, 0x28, 0x28]));
        assert!(is_loadable(&table, local, USER_DATA) && !is_loadable(&table, local, USER_CODE));
    }

    #[test]
    fn segments_go_to_the_guests_places_only() {
        let (mut table, mut sides, local, context) = guest();
        let (plain, outside) = (table, [0, 1, 3, 5, 11, 16, 0xffff, 0x1_0200, 0x1_ffff, 0x2_0000, u64::MAX]);
        for index in outside {
            assert!(!put(&mut table, &mut sides, local, index, DATA_32), "{index:#x}");
        }
        assert_eq!(table, plain);
        assert_eq!(sides.segments, [0; 5]);
        assert!(context.iter().all(|&word| word == 0));
        for index in [4, 15, 0x1_0000, 0x1_01ff] {
            assert!(put(&mut table, &mut sides, local, index, DATA_32), "{index:#x}");
        }
        assert_eq!([table[4], table[15], table[12]], [DATA_32, DATA_32, 0]);
        assert_eq!(sides.segments, [DATA_32, 0, 0, 0, DATA_32]);
        let (first, second) = context.split_at(PAGE as usize / 8);
        assert!(first.iter().all(|&word| word == 0), "the context itself");
        assert_eq!((second[0], second[1], second[511]), (DATA_32, 0, DATA_32));
    }

    #[test]
    fn a_selector_is_loadable_for_as_long_as_its_segment_is_there() {
        let (mut table, mut sides, local, _) = guest();
        for (index, selector) in [(12, 12 << 3 | 3), (0x1_0007, 7 << 3 | 7)] {
            assert!(!is_loadable(&table, local, selector));
            assert!(put(&mut table, &mut sides, local, index, CODE_32));
            assert!(is_loadable(&table, local, selector));
            let only_executable = CODE_32 & !READ_WRITE;
            assert!(put(&mut table, &mut sides, local, index, only_executable));
            assert!(!is_loadable(&table, local, selector));
            assert!(put(&mut table, &mut sides, local, index, 0));
            assert!(!is_loadable(&table, local, selector));
        }
        assert!(put(&mut table, &mut sides, local, 0x1_01ff, DATA_32));
        assert!(is_loadable(&table, local, 511 << 3 | 7));
        assert!(!is_loadable(&table, local, 512 << 3 | 7), "beyond the table");
        assert!(!is_loadable(&table, local, u16::MAX));
    }
}
