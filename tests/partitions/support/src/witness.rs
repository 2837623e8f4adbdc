// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory that nobody may change: this program's text and constants, and an area of random words.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{Random, Test};
use parzelle_rt::Volatile;

/// Words of the area.
const WORDS: usize = 4096;

static AREA: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

unsafe extern "C" {
    /// Where text begins and constants end: symbols of the linker script.
    static __program_start: u8;
    static __program_end: u8;
}

/// A piece of memory and its hash.
#[derive(Debug)]
struct Piece {
    memory: Volatile,
    hash: u64,
}

/// All pieces; each look is at one of them.
#[derive(Debug)]
pub struct Witness {
    pieces: [Piece; 2],
    next: usize,
    count: u64,
}

impl Witness {
    /// Takes the hashes.
    pub fn begin() -> Self {
        let mut random = Random::new(99);
        AREA.iter().for_each(|word| word.store(random.word(), Relaxed));
        let program = (&raw const __program_start as u64, &raw const __program_end as u64);
        let area = AREA.as_ptr() as u64;
        // SAFETY: the program's own text and constants, which are mapped and never written.
        let program = unsafe { Volatile::new(program.0, (program.1 - program.0) & !7) };
        // SAFETY: a static of integers that are only read from here on.
        let area = unsafe { Volatile::new(area, size_of_val(&AREA) as u64) };
        let pieces = [program, area].map(|memory| Piece { memory, hash: hash(&memory) });
        Self { pieces, next: 0, count: 0 }
    }

    /// Looks at the next piece.
    pub fn look(&mut self, test: &mut Test) {
        let piece = &self.pieces[self.next];
        test.equal("hash of my memory", hash(&piece.memory), piece.hash);
        self.next = (self.next + 1) % self.pieces.len();
        self.count += 1;
    }

    /// The hash of the program's text and constants.
    pub fn program(&self) -> u64 {
        self.pieces[0].hash
    }

    /// How often it has looked.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// FNV-1a over words (Fowler, Noll, Vo).
fn hash(memory: &Volatile) -> u64 {
    (0..memory.len()).step_by(8).fold(0xcbf2_9ce4_8422_2325, |hash, offset| {
        (hash ^ memory.load_u64(offset).unwrap_or(0)).wrapping_mul(0x100_0000_01b3)
    })
}
