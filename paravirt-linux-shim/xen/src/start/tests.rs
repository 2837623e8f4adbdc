// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A made-up kernel laid out and started: what its guest would see by walking the tables.

use std::collections::BTreeMap;

use super::*;
use crate::abi::PAGE;
use crate::abi::start::{StartInfo, flag};
use crate::notes::tests::{elf, linux};
use zerocopy::FromBytes;

const VIRT: u64 = 0xffff_ffff_8000_0000;
const P2M: u64 = 0x80_0000_0000;

/// Memory that knows what was written where, and refuses what is outside.
struct Memory {
    frames: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Ram for Memory {
    fn write(&mut self, at: u64, bytes: &[u8]) {
        for (at, byte) in (at..).zip(bytes) {
            assert!(at < self.frames * PAGE, "{at:#x} is outside");
            self.pages.entry(at / PAGE).or_insert_with(|| vec![0xaa; 4096])[(at % PAGE) as usize] = *byte;
        }
    }

    fn zero(&mut self, at: u64, bytes: u64) {
        self.write(at, &vec![0; bytes as usize]);
    }
}

impl Memory {
    fn word(&self, at: u64) -> u64 {
        let page = &self.pages[&(at / PAGE)];
        u64::read_from_prefix(&page[(at % PAGE) as usize..]).unwrap().0
    }

    /// Walks the tables: physical address, and whether it is writable.
    fn walk(&self, root: u64, address: u64) -> Option<(u64, bool)> {
        let mut table = root;
        for level in (1..=4).rev() {
            let entry = self.word(table + (address >> (3 + 9 * level) & 511) * 8);
            if entry & 1 == 0 {
                return None;
            }
            assert_eq!(entry & 0x65, 0x65, "present, user, accessed, dirty");
            table = entry & 0x000f_ffff_ffff_f000;
            if level == 1 {
                return Some((table + address % PAGE, entry & 2 != 0));
            }
            assert_ne!(entry & 2, 0, "only leaves forbid writing");
        }
        None
    }
}

fn description<'a>(kernel: &'a Kernel<'a>, frames: u64, initrd: u64) -> Description<'a> {
    Description {
        frames,
        kernel,
        initrd,
        command_line: b"console=hvc0",
        shared_info: 0x4000_0000,
        console: Some(2),
        store: None,
    }
}

#[test]
fn linux_finds_what_it_was_promised() {
    let notes = linux();
    let file = elf(&[(1, 0x100_0000, b"code", 0x1800), (1, 0x300_0000, b"data", 0x2000), (4, 0, &notes, 0)]);
    let kernel = Kernel::parse(&file).unwrap();
    let description = description(&kernel, 0x1_0000, 3 * PAGE + 1);
    let layout = Layout::of(&description).unwrap();
    let mut memory = Memory { frames: 0x1_0000, pages: BTreeMap::new() };
    layout.write(&description, &mut memory).unwrap();
    let Entry { rip, rsp, rsi, root } = layout.entry();
    assert_eq!(rip, 0xffff_ffff_8300_0180);
    assert_eq!(memory.walk(root, rip), Some((0x300_0180, true)));
    assert_eq!(memory.walk(root, VIRT), Some((0, true)), "mapped from the beginning");
    assert!(memory.walk(root, rsp - 8).is_some_and(|(_, writable)| writable));
    assert_eq!(memory.word(0x300_0000), u64::from(u32::from_le_bytes(*b"data")), "zeroes follow");

    let (start_info, _) = memory.walk(root, rsi).unwrap();
    let info = StartInfo::read_from_prefix(&memory.pages[&(start_info / PAGE)]).unwrap().0;
    assert_eq!(info, layout.start_info(&description));
    assert_eq!((info.nr_pages, info.console_evtchn, info.store_evtchn), (0x1_0000, 2, 0));
    assert!(info.cmd_line.starts_with(b"console=hvc0\0"));
    assert_eq!(info.flags & flag::MOD_START_PFN, flag::MOD_START_PFN);
    assert_eq!((info.mod_start * PAGE, info.mod_len), (layout.initrd.unwrap(), 3 * PAGE + 1));
    assert!(memory.walk(root, VIRT + layout.initrd.unwrap()).is_none(), "not mapped");

    // Tables: root first, read-only, told by address and number.
    assert_eq!(memory.walk(root, info.pt_base), Some((root, false)));
    for frame in 0..info.nr_pt_frames {
        let at = info.pt_base + frame * PAGE;
        assert_eq!(memory.walk(root, at), Some((root + frame * PAGE, false)));
    }
    assert!(memory.walk(root, info.pt_base + info.nr_pt_frames * PAGE).unwrap().1, "then the stack");
    let levels: Vec<u8> = layout.tables.iter().map(|table| table.level).collect();
    assert!(levels.starts_with(&[4, 3, 2, 1, 1]), "{levels:?}");
    assert_eq!(levels.len() as u64, info.nr_pt_frames + 3, "and three for the p2m: {levels:?}");

    // The list of machine frames, at the address that the kernel wants.
    assert_eq!((info.mfn_list, info.first_p2m_pfn * PAGE), (P2M, layout.p2m));
    assert_eq!(info.nr_p2m_frames, 0x80 + 3);
    for frame in [0, 1, 511, 512, 0xffff] {
        let (at, _) = memory.walk(root, P2M + frame * 8).unwrap();
        assert_eq!(memory.word(at), frame);
    }
    assert!(memory.walk(root, P2M + 0x1_0000 * 8).is_none());

    // 512 KiB behind the stack, to a boundary of 4 MiB.
    let end = (rsp..).step_by(4096).find(|at| memory.walk(root, *at).is_none()).unwrap();
    assert!(end - rsp >= 512 << 10 && end % (4 << 20) == 0, "{end:#x}");
}

#[test]
fn a_kernel_without_these_notes_has_everything_in_its_first_mapping() {
    let plain: Vec<u8> = {
        // Only VIRT_BASE, ENTRY and HYPERCALL_PAGE.
        let mut notes = Vec::new();
        for (number, value) in [(3u32, VIRT), (1, VIRT + 0x10_0000), (2, VIRT + 0x10_1000)] {
            notes.extend([4, 8, number].iter().flat_map(|word| word.to_le_bytes()));
            notes.extend(b"Xen\0");
            notes.extend(value.to_le_bytes());
        }
        notes
    };
    let file = elf(&[(1, 0x10_0000, b"code", 0x2000), (4, 0, &plain, 0)]);
    let kernel = Kernel::parse(&file).unwrap();
    let description = description(&kernel, 0x4000, 5000);
    let layout = Layout::of(&description).unwrap();
    let mut memory = Memory { frames: 0x4000, pages: BTreeMap::new() };
    layout.write(&description, &mut memory).unwrap();
    let info = layout.start_info(&description);
    let root = layout.entry().root;
    assert_eq!(layout.hypercall_page, Some(0x10_1000));
    assert_eq!(info.flags & flag::MOD_START_PFN, 0);
    assert_eq!(memory.walk(root, info.mod_start), Some((layout.initrd.unwrap(), true)));
    let (last, _) = memory.walk(root, info.mfn_list + 0x3fff * 8).unwrap();
    assert_eq!(memory.word(last), 0x3fff);
    assert_eq!(layout.tables.iter().count() as u64, info.nr_pt_frames);
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let notes = linux();
    let file = elf(&[(1, 0x100_0000, b"code", 0x300_0000), (4, 0, &notes, 0)]);
    let kernel = Kernel::parse(&file).unwrap();
    let Err(Impossible::TooSmall { needs }) = Layout::of(&description(&kernel, 0x1000, 1 << 20)) else { panic!() };
    // The list of frames grows with the memory: a little more than it says is enough.
    assert!(Layout::of(&description(&kernel, needs, 1 << 20)).is_err());
    assert!(Layout::of(&description(&kernel, needs + needs / 256, 1 << 20)).is_ok());
    for initrd in [1 << 46, u64::MAX - 4096, u64::MAX] {
        let result = Layout::of(&description(&kernel, 0x1_0000, initrd));
        assert!(matches!(result, Err(Impossible::TooSmall { .. })), "{result:?}");
    }
    let long = [b'x'; 1024];
    let result = Layout::of(&Description { command_line: &long, ..description(&kernel, 0x1_0000, 0) });
    assert_eq!(result, Err(Impossible::CommandLine));
    assert!(matches!(Layout::of(&description(&kernel, 1 << 40, 0)), Err(Impossible::TooSmall { .. })));
}

#[test]
fn kernels_that_want_to_lie_anywhere_are_refused() {
    let notes = linux();
    let file = elf(&[(1, 0x100_0000, b"code", 0x300_0000), (4, 0, &notes, 0)]);
    let kernel = || Kernel::parse(&file).unwrap();
    for change in [
        (|notes| notes.virt_base = 0xffff_8000_0000_0000) as fn(&mut crate::notes::Notes),
        |notes| notes.virt_base = 0x0000_7fff_ff00_0000,
        |notes| notes.virt_base = 0xffff_ffff_ff00_0000,
        |notes| notes.virt_base += 1,
        |notes| notes.init_p2m = Some(VIRT),
        |notes| notes.init_p2m = Some(0xffff_8700_0000_0000),
        |notes| notes.init_p2m = Some(0x1_0000_0000_0000),
        |notes| notes.hypercall_page = Some(VIRT + 0x100_0001),
        |notes| notes.hypercall_page = Some(0),
        |notes| notes.entry = 7,
    ] {
        let mut kernel = kernel();
        change(&mut kernel.notes);
        let result = Layout::of(&description(&kernel, 0x1_0000, 0)).map(|_| kernel.notes);
        assert_eq!(result, Err(Impossible::Places));
    }
}
