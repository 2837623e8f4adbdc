// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random numbers that are the same on every run (xorshift64*, Marsaglia 2003, Vigna 2016).

/// A generator.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins at a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any number.
    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.word() >> 16) % bound.max(1)
    }

    /// One of `choices`; 0 if there are none.
    pub fn pick(&mut self, choices: &[u64]) -> u64 {
        let at = self.below(choices.len() as u64);
        choices.get(at as usize).copied().unwrap_or(0)
    }

    /// A number that programs get wrong: near 0, near a power of two, near the end.
    pub fn edge(&mut self) -> u64 {
        let power = 1u64 << self.below(64);
        let near = self.below(5).wrapping_sub(2);
        match self.below(4) {
            0 => near,
            1 => power.wrapping_add(near),
            2 => power.wrapping_neg().wrapping_add(near),
            _ => self.word() >> self.below(64),
        }
    }
}
