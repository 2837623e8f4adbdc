// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Formats: how entries are written down, and what they can express.
//!
//! A format only converts between words and [`Entry`]; it never sees a table. Writing and reading
//! are inverse to each other, and the walker relies on it: a word counts as an entry only if
//! writing it anew gives the same word. So every bit of a table is accounted for, reserved ones too.

mod el2;
mod long_mode;
mod second_level;
mod stage2;
mod vmsa;

pub use el2::El2;
pub use long_mode::LongMode;
pub use second_level::SecondLevel;
pub use stage2::{AnyStage2, GuestStage2, Stage2};

use crate::level::Level;
use crate::mapping::{Access, Leaf, Memory, Pa};

/// An entry that refers to a table of the next level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Where the table lies.
    pub pa: Pa,
    /// Partitions may pass, if the leaf lets them. Where a format has no such bit, always what its leaves say.
    pub user: bool,
    /// Linked from another root, which alone may extend it.
    pub shared: bool,
}

/// An entry of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: all zero, and a fault for whoever comes here.
    Empty,
    /// A table of the next level.
    Table(Table),
    /// The end of a walk.
    Leaf(Leaf),
    /// Not zero, and nothing that this kernel writes.
    Malformed,
}

/// A translation-table format with a 4 KiB granule. Never a value, only a parameter.
pub trait Format {
    /// Level of the root table.
    const ROOT: Level;
    /// Levels at which an entry can be a leaf.
    const LEAVES: &'static [Level];
    /// Virtual addresses are sign-extended from the root's reach; otherwise the bits above have to be zero.
    const SIGN_EXTENDED: bool;
    /// Bits of a physical address that fit into an entry.
    /// Whether the processor has as many is for boot to check, against the plan's memory.
    const PHYSICAL_BITS: u32;
    /// Memory may be writable and executable, since whoever runs there keeps tables of its own in front of these.
    const WRITABLE_CODE: bool = false;

    /// Tells whether the format can express this, exactly, at this address.
    ///
    /// Asked for both ends of a range: what holds there has to hold in between.
    fn supports(va: u64, access: Access, memory: Memory) -> bool;

    /// Tells whether partitions may pass tables on the way to this address, if the leaf lets them.
    fn user_may_pass(va: u64) -> bool;

    /// Writes down a reference to a table.
    fn table(table: Table) -> u64;

    /// Writes down a leaf of this level: supported, and aligned to the level's size.
    fn leaf(leaf: Leaf, level: Level) -> u64;

    /// Reads what [`table`](Format::table) and [`leaf`](Format::leaf) write. What it makes of other
    /// words doesn't matter: they are malformed, because written anew they differ.
    /// Below a page there is nothing: at that level no word is a table.
    fn decode(word: u64, level: Level) -> Entry;
}

/// Reads an entry, strictly: only a word that the format would have written is more than malformed.
pub(crate) fn entry<F: Format>(word: u64, level: Level) -> Entry {
    if word == 0 {
        return Entry::Empty;
    }
    let entry = F::decode(word, level);
    let same = match entry {
        Entry::Table(table) => F::table(table) == word,
        Entry::Leaf(leaf) => {
            let aligned = leaf.pa.0.is_multiple_of(level.size());
            F::LEAVES.contains(&level) && aligned && F::leaf(leaf, level) == word
        }
        Entry::Empty | Entry::Malformed => false,
    };
    if same { entry } else { Entry::Malformed }
}

/// Returns the virtual address at `offset` bytes into the reach of a root.
pub(crate) fn address<F: Format>(offset: u64) -> u64 {
    let reach = F::ROOT.table_size();
    if F::SIGN_EXTENDED && offset & (reach / 2) != 0 { offset | !(reach - 1) } else { offset & (reach - 1) }
}

/// Tells whether the hardware would translate `va` at all.
pub(crate) fn in_reach<F: Format>(va: u64) -> bool {
    address::<F>(va & (F::ROOT.table_size() - 1)) == va
}

/// Sets `bits` in a word if `condition` holds.
const fn when(condition: bool, bits: u64) -> u64 {
    if condition { bits } else { 0 }
}
