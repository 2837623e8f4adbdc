// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Segments: bases that the kernel sets, and descriptors that programs may have of their own.

use std::arch::asm;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use guest_support::memory::{Map, PAGE, WRITE};
use guest_support::process::{Child, Status};
use guest_support::{arch as machine, attempt, processor};

use super::legacy;
use crate::verdict::{Fault, Verdict, absent, equal};

/// `arch_prctl`: sets the base of gs, and tells it.
const SET_GS: usize = 0x1001;
const GET_GS: usize = 0x1004;

/// Sets the base of gs.
fn set_base(address: usize) -> isize {
    // SAFETY: nothing here uses gs but these checks.
    unsafe { machine::call(libc::SYS_arch_prctl, [SET_GS, address, 0, 0]) }
}

/// The first word of what gs points to.
fn word() -> u64 {
    let word;
    // SAFETY: the checks point gs to memory of theirs.
    unsafe { asm!("mov {}, gs:[0]", out(reg) word, options(nostack, readonly)) };
    word
}

/// Loads gs with a selector.
extern "C" fn select(selector: usize, _: usize) -> usize {
    // SAFETY: nothing here uses gs but these checks; it may fault, then the selector stays.
    unsafe { asm!("mov gs, {:x}", in(reg) selector, options(nostack)) };
    0
}

/// Each thread's base of gs is its own, whoever runs in between, however it was set.
pub(crate) fn bases() -> Verdict {
    // SAFETY: no memory is involved.
    let has_instructions = unsafe { libc::getauxval(libc::AT_HWCAP2) } & 2 != 0;
    let threads: Vec<_> = (0..8_u64)
        .map(|number| {
            thread::spawn(move || -> Verdict {
                let map = Map::private(PAGE, WRITE)?;
                map.write(0, 1000 + number);
                if has_instructions && number % 2 == 0 {
                    // SAFETY: as with `set_base`; the kernel says that programs may.
                    unsafe { asm!("wrgsbase {}", in(reg) map.address(), options(nostack)) };
                } else {
                    equal("setting gs", 0, set_base(map.address()))?;
                }
                for round in 0..300 {
                    processor::give_way();
                    equal(format!("gs of thread {number} in round {round}"), 1000 + number, word())?;
                }
                let mut base = 0_usize;
                let into = (&raw mut base).expose_provenance();
                // SAFETY: a word of ours.
                unsafe { machine::call(libc::SYS_arch_prctl, [GET_GS, into, 0, 0]) };
                equal("the base that the kernel tells", map.address(), base)?;
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| Fault::Wrong("a thread is gone".to_owned()))??;
    }
    for address in [0xffff_8100_0000_0000, 0x8000_0000_0000, usize::MAX] {
        equal(format!("gs at {address:#x}"), -(libc::EPERM as isize), set_base(address))?;
    }
    Ok(())
}

/// What programs say about a segment (`struct user_desc`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    entry: u32,
    base: u32,
    limit: u32,
    flags: u32,
}

impl Descriptor {
    /// Data of 32 bits, usable by programs.
    fn data(entry: u32, map: &Map) -> Self {
        Self { entry, base: map.address() as u32, limit: PAGE as u32 - 1, flags: 0x41 }
    }

    /// Nothing.
    fn none(entry: u32) -> Self {
        Self { entry, base: 0, limit: 0, flags: 0x28 }
    }
}

/// Memory at an address of 32 bits, as bases of descriptors are.
pub(super) fn low(bytes: usize, access: i32) -> io::Result<Map> {
    Map::new(0, bytes, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT, -1)
}

/// Sets an entry of the local table.
fn set_local(mut descriptor: Descriptor) -> i32 {
    let from = (&raw mut descriptor).expose_provenance();
    // SAFETY: a structure of ours.
    let result = unsafe { machine::call(libc::SYS_modify_ldt, [0x11, from, size_of::<Descriptor>(), 0]) };
    // The kernel returns 32 bits only.
    result as i32
}

/// The last descriptor that a partition has room for; Linux takes 8192.
const LAST: u32 = 511;

/// Descriptors of the local table work, are inherited, and belong to one process.
pub(crate) fn local_descriptors() -> Verdict {
    let (own, other) = (low(PAGE, WRITE)?, low(PAGE, WRITE)?);
    own.write(0, 111);
    other.write(0, 222);
    match set_local(Descriptor::data(7, &own)) {
        0 => {}
        result if result == -libc::ENOSYS => return absent("this kernel has no local tables"),
        result => return equal("setting a descriptor", 0, result),
    }
    equal("the last entry", 0, set_local(Descriptor::data(LAST, &other)))?;
    equal("one too many", -libc::EINVAL, set_local(Descriptor::data(8192, &other)))?;
    let (seven, last) = (7 << 3 | 7, (LAST as usize) << 3 | 7);
    select(last, 0);
    equal("through the last entry", 222, word())?;
    select(seven, 0);
    equal("through entry 7", 111, word())?;
    let child = Child::new(|| {
        let inherited = word() == 111;
        let set = set_local(Descriptor::data(7, &other)) == 0;
        select(seven, 0);
        let same = (0..300).all(|_| {
            processor::give_way();
            word() == 222
        });
        i32::from(!inherited) + 2 * i32::from(!set) + 4 * i32::from(!same)
    })?;
    for _ in 0..300 {
        processor::give_way();
        equal("through the parent's entry", 111, word())?;
    }
    equal("through the child's", Status::Exited(0), child.wait()?)?;

    equal("clearing", 0, set_local(Descriptor::none(7)))?;
    for selector in [seven, 9 << 3 | 7, 8190 << 3 | 7] {
        let found = attempt::attempt(select, selector, 0).map_err(|it| it.signal);
        equal(format!("loading {selector:#x}, which isn't there"), Err(libc::SIGSEGV), found)?;
    }
    select(0, 0);
    Ok(())
}

/// The number of the call among those of 32 bits.
const SET_THREAD_AREA: usize = 243;

/// Threads that are ready.
static READY: AtomicUsize = AtomicUsize::new(0);

/// Each thread has three descriptors of its own in the global table.
pub(crate) fn thread_areas() -> Verdict {
    let threads: Vec<_> = (0..6_u64)
        .map(|number| {
            thread::spawn(move || -> Verdict {
                let map = low(PAGE, WRITE)?;
                map.write(0, 500 + number);
                // In low memory, too, as the call is one of 32 bits.
                let Descriptor { entry, base, limit, flags } = Descriptor::data(u32::MAX, &map);
                map.write(16, u64::from(base) << 32 | u64::from(entry));
                map.write(24, u64::from(flags) << 32 | u64::from(limit));
                match legacy::call(SET_THREAD_AREA, [map.address() as u32 + 16, 0, 0]) {
                    Ok(0) => {}
                    _ => return absent("this kernel has no calls of 32 bits"),
                }
                let chosen = map.read(16) as u32 as usize;
                select(chosen << 3 | 3, 0);
                READY.fetch_add(1, SeqCst);
                for _ in 0..300 {
                    processor::give_way();
                    equal(format!("through the entry of thread {number}"), 500 + number, word())?;
                }
                select(0, 0);
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| Fault::Wrong("a thread is gone".to_owned()))??;
    }
    equal("threads", 6, READY.load(SeqCst))
}
