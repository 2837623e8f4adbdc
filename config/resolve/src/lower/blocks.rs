// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Physical memory: what is needed, and where it will lie.
//!
//! ```text
//!   RAM − reserved − image = free ranges, ascending
//!     1. blocks with a wish (`physical`) are put where they want to be
//!     2. all others go first-fit upwards, in the order in which they were asked for
//! ```
//! So the same system gets the same addresses, always.

use crate::model::{Place, Region};
use parzelle_abi::PAGE;

/// From this size on, a block lies at a multiple of it: one entry of a table then maps so much.
pub(crate) const LARGE: u64 = 2 << 20;

/// A block, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockId(pub(crate) usize);

/// A part of a block, as the plan's memory table shows it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Zeroed by the kernel before the first window.
    pub(crate) zero: bool,
}

/// Physical memory that lies together.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Its parts, one behind the other, each of whole pages.
    pub(crate) parts: Vec<Part>,
    /// Whose it is; `None`: the kernel's, or several partitions'.
    pub(crate) partition: Option<usize>,
    /// Memory of several partitions: whose, and whether they write.
    pub(crate) users: Vec<(usize, bool)>,
    /// Where it wants to be.
    pub(crate) wish: Option<(u64, Option<Place>)>,
    /// Who takes it, for people.
    pub(crate) owner: String,
    /// Why, for people.
    pub(crate) why: &'static str,
}

impl Block {
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// Where no place could be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Everything together does not fit.
    Full,
    /// The block's wish misses the RAM, or meets the kernel or firmware.
    Outside(BlockId),
    /// The wishes of the two meet.
    Clash(BlockId, BlockId),
}

/// Collects blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks(Vec<Block>);

impl Blocks {
    pub(crate) fn add(&mut self, block: Block) -> BlockId {
        self.0.push(block);
        BlockId(self.0.len() - 1)
    }

    /// Sets the size of a block of one part.
    pub(crate) fn resize(&mut self, id: BlockId, bytes: u64) {
        if let Some(part) = self.0.get_mut(id.0).and_then(|block| block.parts.first_mut()) {
            part.bytes = bytes;
        }
    }

    pub(crate) fn all(&self) -> &[Block] {
        &self.0
    }

    pub(crate) fn get(&self, id: BlockId) -> Option<&Block> {
        self.0.get(id.0)
    }

    /// Finds an address for each block in `free` (sorted).
    pub(crate) fn place(&self, mut free: Vec<Region>) -> Result<Vec<u64>, NoRoom> {
        let mut placed: Vec<Option<u64>> = vec![None; self.0.len()];
        let wishing = |(_, block): &(usize, &Block)| block.wish.is_some() && block.bytes() > 0;
        let all = || self.0.iter().enumerate();
        for (index, block) in all().filter(wishing) {
            let start = block.wish.map_or(0, |(start, _)| start);
            let wanted = Region { start, size: block.bytes() };
            if !take(&mut free, wanted) {
                let clash = |(other, region): (usize, &Block)| {
                    let start = placed.get(other).copied().flatten()?;
                    wanted.overlaps(Region { start, size: region.bytes() }).then_some(BlockId(other))
                };
                return Err(match all().find_map(clash) {
                    Some(other) => NoRoom::Clash(BlockId(index), other),
                    None => NoRoom::Outside(BlockId(index)),
                });
            }
            if let Some(slot) = placed.get_mut(index) {
                *slot = Some(start);
            }
        }
        all()
            .map(|(index, block)| match placed.get(index).copied().flatten() {
                Some(start) => Ok(start),
                None if block.bytes() == 0 => Ok(0),
                None => first_fit(&mut free, block.bytes()).ok_or(NoRoom::Full),
            })
            .collect()
    }
}

/// The parts of `ram` that none of `taken` covers, in whole pages.
pub(crate) fn free(ram: &[Region], taken: &[Region]) -> Vec<Region> {
    let mut free: Vec<Region> = ram.to_vec();
    for hole in taken {
        free = free.iter().flat_map(|&region| cut(region, *hole)).collect();
    }
    free.iter()
        .filter_map(|region| {
            let start = region.start.next_multiple_of(PAGE);
            let end = region.end() / PAGE * PAGE;
            (start < end).then(|| Region { start, size: end - start })
        })
        .collect()
}

/// What is left of `region` without `hole`: before and behind.
fn cut(region: Region, hole: Region) -> impl Iterator<Item = Region> {
    let before = (region.start, region.end().min(hole.start));
    let behind = (region.start.max(hole.end()), region.end());
    let parts = if region.overlaps(hole) { [before, behind] } else { [(region.start, region.end()), (0, 0)] };
    parts.into_iter().filter(|(start, end)| start < end).map(|(start, end)| Region { start, size: end - start })
}

fn take(free: &mut Vec<Region>, wanted: Region) -> bool {
    let inside = |region: &Region| region.start <= wanted.start && wanted.end() <= region.end();
    if !free.iter().any(inside) {
        return false;
    }
    *free = free.iter().flat_map(|&region| cut(region, wanted)).collect();
    true
}

fn first_fit(free: &mut Vec<Region>, bytes: u64) -> Option<u64> {
    let align = if bytes >= LARGE { LARGE } else { PAGE };
    let wanted = free.iter().find_map(|region| {
        let start = region.start.checked_next_multiple_of(align)?;
        let wanted = Region { start, size: bytes };
        (wanted.end() <= region.end()).then_some(wanted)
    })?;
    take(free, wanted).then_some(wanted.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: u64, wish: Option<u64>) -> Block {
        Block {
            parts: vec![Part { name: String::new(), bytes, zero: false }],
            partition: None,
            users: Vec::new(),
            wish: wish.map(|start| (start, None)),
            owner: String::new(),
            why: "",
        }
    }

    const RAM: Region = Region { start: 0x10_0000, size: 16 << 20 };

    #[test]
    fn wishes_first_then_upwards_around_them() {
        let mut blocks = Blocks::default();
        blocks.add(block(0x2000, None));
        blocks.add(block(0x1000, Some(0x10_1000)));
        blocks.add(block(LARGE, None));
        let placed = blocks.place(free(&[RAM], &[])).unwrap();
        assert_eq!(placed, [0x10_2000, 0x10_1000, 0x20_0000]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut blocks = Blocks::default();
        blocks.add(block(0x1000, Some(0x10_1000)));
        blocks.add(block(0x2000, Some(0x10_0000)));
        let free_ranges = free(&[RAM], &[]);
        let clash = NoRoom::Clash(BlockId(1), BlockId(0));
        assert_eq!(blocks.place(free_ranges.clone()), Err(clash));
        let mut blocks = Blocks::default();
        blocks.add(block(0x1000, Some(0)));
        assert_eq!(blocks.place(free_ranges.clone()), Err(NoRoom::Outside(BlockId(0))));
        let mut blocks = Blocks::default();
        blocks.add(block(32 << 20, None));
        assert_eq!(blocks.place(free_ranges), Err(NoRoom::Full));
    }

    #[test]
    fn holes_are_cut_out() {
        let hole = Region { start: 0x18_0800, size: 0x1000 };
        let left = free(&[RAM], &[hole]);
        let expected = [(0x10_0000, 0x18_0000), (0x18_2000, RAM.end())];
        let found: Vec<_> = left.iter().map(|r| (r.start, r.end())).collect();
        assert_eq!(found, expected);
    }
}
