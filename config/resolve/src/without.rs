// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `[board.NAME] without = […]`: partitions that do not exist on a board, and all relations to
//! them (see `parzelle_schema::file` for why this is in the language).
//!
//! A window keeps its place: what it would have run does not exist, so its time is left over.

use std::collections::BTreeSet;

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Description, EndAt};
use parzelle_schema::nearest::{listed, nearest};
use parzelle_schema::reader::{Field, Text};
use parzelle_schema::source::At;

use crate::rules::facts::time_partition_name;

/// Removes them; names that nobody has are reported (PZ0102).
pub(crate) fn apply(d: &mut Description, out: &mut Vec<Diagnostic>) {
    let mut gone: BTreeSet<String> = BTreeSet::new();
    for name in &d.without {
        let names = || d.partitions.iter().map(|p| p.name.value.as_str());
        if names().any(|n| n == name.value.text) {
            gone.insert(name.value.text.clone());
            continue;
        }
        let found = Diagnostic::error(
            "PZ0102",
            format!("no partition is called `{}`", name.value.text),
            name.place,
            "left out on this board",
        )
        .note(format!("the partitions are {}", listed(names().take(12))));
        out.push(match nearest(&name.value.text, names()) {
            Some(near) => {
                let near = near.to_owned();
                found.fix("write the name as it is declared", name.place, format!("\"{near}\""))
            }
            None => found,
        });
    }
    if gone.is_empty() {
        return;
    }
    let times: BTreeSet<String> =
        d.partitions.iter().filter(|p| gone.contains(&p.name.value)).map(time_partition_name).collect();
    d.partitions.retain(|p| !gone.contains(&p.name.value));
    let kept: BTreeSet<String> = d.partitions.iter().map(time_partition_name).collect();
    let there = |e: &EndAt| !gone.contains(&e.end.partition);
    d.channels.retain_mut(|c| {
        let lost = c.from.good().is_some_and(|f| !there(&f.value));
        let had = c.to.good().is_some_and(|l| !l.value.is_empty());
        keep(&mut c.to, there);
        let nowhere = had && c.to.good().is_some_and(|l| l.value.is_empty());
        !lost && !nowhere
    });
    d.shared.retain_mut(|s| {
        let before = s.writers.good().map_or(0, |l| l.value.len()) + s.readers.good().map_or(0, |l| l.value.len());
        keep(&mut s.writers, there);
        keep(&mut s.readers, there);
        let after = s.writers.good().map_or(0, |l| l.value.len()) + s.readers.good().map_or(0, |l| l.value.len());
        before == after || (s.writers.good().is_none_or(|l| !l.value.is_empty()) && after > 1)
    });
    for c in &mut d.consoles {
        keep(&mut c.members, there);
    }
    for p in &mut d.partitions {
        for list in [&mut p.may.start_stop, &mut p.may.statistics, &mut p.may.trace] {
            keep(list, |t: &At<Text>| !gone.contains(&t.value.text));
        }
    }
    keep(&mut d.system.start_order, |t: &At<Text>| !gone.contains(&t.value.text));
    for s in &mut d.schedules {
        s.change_action.retain(|(name, _)| !gone.contains(&name.value));
        for w in s.cores.iter_mut().flat_map(|(_, w)| w) {
            w.absent = w.run.good().is_some_and(|r| times.contains(&r.value.text) && !kept.contains(&r.value.text));
        }
    }
}

fn keep<T>(list: &mut Field<Vec<T>>, keep: impl Fn(&T) -> bool) {
    if let Field::Good(at) = list {
        at.value.retain(keep);
    }
}
