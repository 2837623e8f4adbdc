// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How figures come about: the median of several rounds, each the mean of many repetitions.
//!
//! A tick of the kernel's clock that falls into a round is shared by its repetitions; one that falls
//! into one round of nine moves the median not at all.

use std::io;

use guest_support::arch::counter;

/// Rounds whose median is the figure.
const ROUNDS: usize = 9;

/// Measures and prints.
pub(crate) struct Meter {
    /// Ticks between two readings of the counter.
    reading: u64,
}

impl Meter {
    /// Measures what measuring costs.
    pub(crate) fn new() -> Self {
        let least = (0..100).map(|_| {
            let begin = counter();
            counter() - begin
        });
        Self { reading: least.min().unwrap_or(0) }
    }

    /// Ticks that `work` takes.
    pub(crate) fn time<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<u64> {
        let begin = counter();
        work()?;
        Ok((counter() - begin).saturating_sub(self.reading))
    }

    /// Times `repetitions` of something small, in rounds after one that warms up.
    pub(crate) fn small(
        &self,
        name: &str,
        repetitions: u64,
        mut work: impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        self.rounds(name, repetitions, |meter| meter.time(|| (0..repetitions).try_for_each(|_| work())))
    }

    /// Runs rounds, after one that warms up, each of which gives the ticks of `repetitions`.
    pub(crate) fn rounds(
        &self,
        name: &str,
        repetitions: u64,
        mut round: impl FnMut(&Self) -> io::Result<u64>,
    ) -> io::Result<()> {
        round(self)?;
        let mut ticks = (0..ROUNDS).map(|_| round(self)).collect::<io::Result<Vec<_>>>()?;
        print(name, median(&mut ticks) / repetitions);
        Ok(())
    }

    /// Times something large `repetitions` times, after some that warm up, and takes the median.
    pub(crate) fn large(
        &self,
        name: &str,
        repetitions: usize,
        mut work: impl FnMut(&Self) -> io::Result<u64>,
    ) -> io::Result<()> {
        for _ in 0..3 {
            work(self)?;
        }
        let mut ticks = (0..repetitions).map(|_| work(self)).collect::<io::Result<Vec<_>>>()?;
        print(name, median(&mut ticks));
        Ok(())
    }
}

/// Prints a metric's line.
fn print(name: &str, ticks: u64) {
    println!("BENCH {name} {ticks}");
}

fn median(ticks: &mut [u64]) -> u64 {
    ticks.sort_unstable();
    ticks.get(ticks.len() / 2).copied().unwrap_or(0)
}
