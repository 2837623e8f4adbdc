// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Which paths of a run are the ones to compare or to measure. `tests/partitions/cores` sees to it
//! that the order of calls on core 0 tells.

use super::{Entry, Path};

/// The lengths of the paths from interrupts on core 0 between its two last calls, in their order.
///
/// The call before last marks the begin, the last ends the module.
pub fn between_last_calls(paths: &[Path]) -> Vec<u64> {
    let own: Vec<&Path> = paths.iter().filter(|path| path.core == 0).collect();
    let calls: Vec<usize> = (0..own.len()).filter(|&at| own.get(at).is_some_and(|p| p.entry == Entry::Call)).collect();
    let Some([begin, end]) = calls.last_chunk() else {
        return Vec::new();
    };
    let between = own.get(begin + 1..*end).unwrap_or_default();
    between.iter().map(|path| path.instructions).collect()
}

/// The last `count` calls of core 0, but for the `skip` behind them, each with the next path from an
/// interrupt on core 1: instructions on both sides.
pub fn across(paths: &[Path], count: usize, skip: usize) -> Vec<(u64, u64)> {
    let calls: Vec<&Path> = paths.iter().filter(|path| path.core == 0 && path.entry == Entry::Call).collect();
    let end = calls.len().saturating_sub(skip);
    let wanted = calls.get(end.saturating_sub(count)..end).unwrap_or_default();
    let answer = |call: &&Path| {
        let woken = |path: &&Path| path.core == 1 && path.entry == Entry::Interrupt && path.begun > call.begun;
        let first = paths.iter().filter(woken).min_by_key(|path| path.begun)?;
        Some((call.instructions, first.instructions))
    };
    wanted.iter().filter_map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(core: usize, entry: Entry, begun: u64, instructions: u64) -> Path {
        Path { core, entry, begun, instructions }
    }

    #[test]
    fn calls_are_marks() {
        let paths = [
            path(0, Entry::Call, 0, 9),
            path(0, Entry::Interrupt, 10, 1),
            path(0, Entry::Call, 20, 9),
            path(0, Entry::Interrupt, 30, 2),
            path(1, Entry::Interrupt, 31, 7),
            path(0, Entry::Interrupt, 40, 3),
            path(0, Entry::Call, 50, 9),
        ];
        assert_eq!(between_last_calls(&paths), [2, 3]);
        assert!(between_last_calls(&paths[..2]).is_empty());
        assert_eq!(across(&paths, 1, 1), [(9, 7)]);
    }
}
