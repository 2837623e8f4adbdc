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
    let drivers: BTreeSet<String> = d
        .partitions
        .iter()
        .filter(|p| gone.contains(&p.name.value))
        .flat_map(|p| p.devices.good().into_iter().flat_map(|l| &l.value))
        .map(|device| device.value.text.clone())
        .collect();
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
    // What nobody serves any more goes with its driver.
    let served = |device: &Field<Text>| device.good().is_none_or(|d| !drivers.contains(&d.value.text));
    d.disks.retain_mut(|disk| {
        let had = disk.ends().count();
        keep(&mut disk.writers, there);
        keep(&mut disk.readers, there);
        served(&disk.device) && (had == 0 || disk.ends().count() > 0)
    });
    d.networks.retain_mut(|n| {
        let had = n.members.good().is_some_and(|l| !l.value.is_empty());
        keep(&mut n.members, there);
        n.macs.retain(|(end, _)| there(end));
        let driver = n.driver.good().is_none_or(|driver| !gone.contains(&driver.value.text));
        driver && served(&n.device) && !(had && n.members.good().is_some_and(|l| l.value.is_empty()))
    });
    d.consoles.retain_mut(|c| {
        keep(&mut c.members, there);
        served(&c.device)
    });
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
