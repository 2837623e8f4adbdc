// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How late windows began, by time partition, in a histogram of one nanosecond per column.
//!
//! The trace names time partitions by numbers of the kernel's own. Which of them a partition
//! belongs to shows in the kernel's counters: the same least and largest distance.

use parzelle_rt::abi::stats::Statistics;
use parzelle_rt::abi::trace::{TraceKind, TraceRecord};

/// Time partitions that are kept apart.
const ROWS: usize = 16;
/// Columns; what is later than the last is counted in it.
const COLUMNS: usize = 2048;

/// The histograms.
pub(crate) struct Jitter {
    rows: [Row; ROWS],
}

struct Row {
    subject: Option<u16>,
    min: u64,
    max: u64,
    count: u64,
    columns: [u32; COLUMNS],
}

impl Jitter {
    /// Nothing counted.
    pub(crate) const fn new() -> Self {
        const ROW: Row = Row { subject: None, min: 0, max: 0, count: 0, columns: [0; COLUMNS] };
        Self { rows: [ROW; ROWS] }
    }

    /// Counts a record, if it is about a window. Time partitions beyond the last row are left out.
    pub(crate) fn count(&mut self, record: &TraceRecord) {
        let is_own = |row: &&mut Row| row.subject.is_none_or(|own| own == record.subject);
        let row = self.rows.iter_mut().find(is_own);
        let Some(row) = row.filter(|_| record.kind == TraceKind::Window as u16) else { return };
        let late = u64::from(record.value);
        row.subject = Some(record.subject);
        row.min = if row.count == 0 { late } else { row.min.min(late) };
        (row.max, row.count) = (row.max.max(late), row.count + 1);
        if let Some(column) = row.columns.get_mut((late as usize).min(COLUMNS - 1)) {
            *column += 1;
        }
    }

    /// The median of a partition's time partition, if its windows were seen.
    pub(crate) fn median(&self, it: &Statistics) -> Option<u64> {
        let differs = |row: &&Row| {
            let extremes = row.min.abs_diff(it.late_min) + row.max.abs_diff(it.late_max);
            (extremes, row.count.abs_diff(it.windows_run))
        };
        let rows = self.rows.iter().filter(|row| row.subject.is_some());
        rows.min_by_key(differs).filter(|_| it.windows_run > 0).map(Row::median)
    }
}

impl Row {
    /// The middle value.
    fn median(&self) -> u64 {
        let mut before = 0;
        let middle = self.columns.iter().position(|&count| {
            before += u64::from(count);
            before * 2 >= self.count
        });
        middle.unwrap_or(0) as u64
    }
}
