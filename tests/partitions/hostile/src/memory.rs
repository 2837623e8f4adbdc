// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Reads, writes and jumps where nothing of this partition is.

use parzelle_rt::abi::info::layout;
use test_support::{Random, probe};

use crate::Attack;

/// Everything that the tool maps for this small partition lies in one of these.
const OWN: [(u64, u64); 2] =
    [(layout::INFO, layout::PROGRAM + (4 << 20)), (layout::OBJECTS, layout::OBJECTS + (16 << 20))];

/// Where others are: kernel images, RAM, interrupt controllers, devices, the kernel's windows.
const PLACES: [(u64, u64); 12] = [
    (0, 0x1_0000),
    (0x0020_0000, 2 << 20),
    (0x0800_0000, 64 << 20),
    (0x4000_0000, 1 << 30),
    (0xc000_0000, 1 << 30),
    (0xfec0_0000, 4096),
    (0xfee0_0000, 4096),
    (layout::GUEST, 1 << 32),
    (layout::END - 4096, 8192),
    (0xffff_8000_0000_0000, 2 << 30),
    (0xffff_8080_0000_0000, 2 << 30),
    (0xffff_ffff_8000_0000, 2 << 30),
];

/// A random address, mostly one that matters to others.
fn any(random: &mut Random) -> u64 {
    match random.below(3) {
        0 => random.edge(),
        1 => random.word(),
        _ => {
            let at = random.below(PLACES.len() as u64) as usize;
            let (start, bytes) = PLACES[at];
            start.wrapping_add(random.below(bytes))
        }
    }
}

/// A random address outside of this partition's memory.
pub(crate) fn outside(random: &mut Random) -> u64 {
    loop {
        let address = any(random);
        if OWN.iter().all(|&(start, end)| address < start || address >= end) {
            return address;
        }
    }
}

impl Attack {
    /// One access.
    pub(crate) fn memory(&mut self) {
        let address = outside(&mut self.random);
        let (what, result) = match self.random.below(3) {
            0 => ("read", probe::read(address)),
            // SAFETY: nothing of this program lies there.
            1 => ("written", unsafe { probe::write(address) }),
            // SAFETY: as above.
            _ => ("executed", unsafe { probe::jump(address) }),
        };
        if result.is_ok() {
            self.breach(format_args!("{address:#x} was {what}"));
        }
    }
}
