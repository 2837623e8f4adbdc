// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where a kernel's code lies and where it is entered, by its ELF file.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol};

use crate::board::Board;

/// By what the kernel was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// A kernel call.
    Call,
    /// A fault, or another exception that its partition (or guest) raised.
    Fault,
    /// An interrupt: the timer's, a device's, another core's.
    Interrupt,
    /// The kernel slept and goes on behind the instruction that it slept at (aarch64; x86-64 leaves
    /// its sleep by an interrupt).
    Wake,
}

/// A kernel's code.
#[derive(Clone, Debug)]
pub struct Kernel {
    traced: Vec<Range<u64>>,
    doors: Doors,
}

/// How an architecture enters.
#[derive(Clone, Debug)]
enum Doors {
    /// Vectors of 128 bytes (Arm ARM D1.3.1.5), and the branch of those exceptions that are no call.
    Aarch64 { vectors: u64, other: u64, sleeps: BTreeSet<u64> },
    /// An entry for calls, and stubs of 16 bytes for the 256 vectors.
    X86_64 { call: u64, stubs: u64 },
}

/// `wfi` (Arm ARM C6.2).
const WFI: u32 = 0xd503_207f;
/// Vectors below this are the processor's own exceptions on x86-64 (SDM 3A 6.3.1).
const EXCEPTIONS: u64 = 32;

/// What occurs in the (mangled) names of functions that only run at boot, and take long: cores wait in
/// them for one another. They would make most of the trace.
const BOOT: [&str; 7] =
    ["4boot4boot", "4boot5build", "4boot9calibrate", "5cores3run", "5cores4join", "5cores4wake", "5cores5agree"];

/// What is left of a range.
fn without(all: Range<u64>, mut holes: Vec<Range<u64>>) -> Vec<Range<u64>> {
    holes.sort_by_key(|hole| hole.start);
    let mut left = Vec::new();
    let mut from = all.start;
    for hole in holes {
        if from < hole.start {
            left.push(from..hole.start);
        }
        from = from.max(hole.end);
    }
    if from < all.end {
        left.push(from..all.end);
    }
    left
}

impl Kernel {
    /// Reads the ELF file of a kernel for `board`.
    pub fn parse(board: Board, elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let section = file.section_by_name(".text").context("the kernel has no `.text`")?;
        let text = section.address()..section.address() + section.size();
        let symbol = |name: &str| {
            let found = file.symbol_by_name(name).map(|symbol| symbol.address());
            found.with_context(|| format!("the kernel has no symbol `{name}`"))
        };
        let doors = if board.arch() == "aarch64" {
            let words = section.data()?.chunks_exact(4).zip((text.start..).step_by(4));
            let sleeps = words.filter(|(word, _)| **word == WFI.to_le_bytes()).map(|(_, address)| address);
            Doors::Aarch64 {
                vectors: symbol("parzelle_vectors")?,
                other: symbol("parzelle_other")?,
                sleeps: sleeps.collect(),
            }
        } else {
            Doors::X86_64 { call: symbol("parzelle_entry_call")?, stubs: symbol("parzelle_stubs")? }
        };
        let boots = file.symbols().filter(|symbol| {
            let name = symbol.name().unwrap_or_default();
            text.contains(&symbol.address()) && BOOT.iter().any(|part| name.contains(part))
        });
        let boots = boots.map(|symbol| symbol.address()..symbol.address() + symbol.size());
        Ok(Self { traced: without(text.clone(), boots.collect()), doors })
    }

    /// Where its code lies that is to be traced: all but what only runs at boot.
    pub fn traced(&self) -> &[Range<u64>] {
        &self.traced
    }

    /// Which entry this address is.
    pub(super) fn entry(&self, pc: u64) -> Option<Entry> {
        match self.doors {
            Doors::Aarch64 { vectors, .. } => {
                let offset = pc.checked_sub(vectors).filter(|offset| *offset < 0x800 && offset % 0x80 == 0)?;
                Some(match offset {
                    0x400 | 0x600 => Entry::Call,
                    0x480 | 0x680 => Entry::Interrupt,
                    _ => Entry::Fault,
                })
            }
            Doors::X86_64 { call, .. } if pc == call => Some(Entry::Call),
            Doors::X86_64 { stubs, .. } => {
                let offset = pc.checked_sub(stubs).filter(|offset| *offset < 256 * 16 && offset % 16 == 0)?;
                Some(if offset / 16 < EXCEPTIONS { Entry::Fault } else { Entry::Interrupt })
            }
        }
    }

    /// Whether what seemed to be a call turns out to be none here.
    pub(super) fn is_other(&self, pc: u64) -> bool {
        matches!(self.doors, Doors::Aarch64 { other, .. } if other == pc)
    }

    /// Whether the kernel sleeps here.
    pub(super) fn sleeps(&self, pc: u64) -> bool {
        matches!(&self.doors, Doors::Aarch64 { sleeps, .. } if sleeps.contains(&pc))
    }

    /// A kernel with its text at 0x1000 and its vectors at 0x1800, sleeping at 0x1100.
    #[cfg(test)]
    pub(super) fn aarch64() -> Self {
        let doors = Doors::Aarch64 { vectors: 0x1800, other: 0x1200, sleeps: BTreeSet::from([0x1100]) };
        Self { traced: Vec::new(), doors }
    }

    /// A kernel with its call entry at 0x1040 and its stubs at 0x2000.
    #[cfg(test)]
    pub(super) fn x86_64() -> Self {
        Self { traced: Vec::new(), doors: Doors::X86_64 { call: 0x1040, stubs: 0x2000 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_left_out() {
        assert_eq!(without(0..10, vec![6..7, 2..4, 9..10]), vec![0..2, 4..6, 7..9]);
        assert_eq!(without(0..4, Vec::new()), vec![Range { start: 0, end: 4 }]);
    }
}
