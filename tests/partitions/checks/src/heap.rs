// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The heap of a program that asks for one: blocks are distinct, come back, and are zero at first.
//!
//! Needs: feature `heap`, `memory = "1MiB"`.

extern crate alloc;

use alloc::vec::Vec;

use parzelle_rt::{Error, Partition};
use test_support::{Random, Test};

/// Blocks that are held at a time.
const BLOCKS: usize = 64;

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("heap");
    test.within("its size", me.header().heap_bytes, 512 * 1024, 1024 * 1024);
    let mut random = Random::new(7);
    let mut blocks: Vec<Vec<u64>> = (0..BLOCKS).map(|_| Vec::new()).collect();
    for round in 0..5_000u64 {
        let place = random.below(BLOCKS as u64) as usize;
        let length = random.below(1_000) as usize;
        if let Some(block) = blocks.get_mut(place) {
            let whole = block.first().is_none_or(|first| block.iter().all(|word| word == first));
            test.check(whole, "a block has changed");
            *block = alloc::vec![round; length];
        }
    }
    drop(blocks);
    let large: Vec<u8> = Vec::with_capacity(400 * 1024);
    test.equal("a large block, when all is free again", large.capacity(), 400 * 1024);
    let mut larger: Vec<u8> = Vec::new();
    test.check(larger.try_reserve(2 << 20).is_err(), "more than there is");
    test.verdict();
    Ok(())
}
