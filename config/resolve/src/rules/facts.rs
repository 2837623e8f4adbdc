// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What several rules and the derivation need: time partitions, cores, packages.

use std::collections::BTreeSet;

use parzelle_schema::file::Partition;

use super::Ctx;
use super::windows::PlacedSchedule;
use crate::environment::Package;

/// Computed once per board; vectors are parallel to those of the description.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Per schedule.
    pub(crate) schedules: Vec<PlacedSchedule>,
    /// All time partitions that some window runs.
    pub(crate) windowed: BTreeSet<String>,
    /// Per partition: its time partition; `None` is time partition 0.
    pub(crate) time_partition: Vec<Option<String>>,
    /// Per partition: the core of each vCPU.
    pub(crate) cores: Vec<Vec<u32>>,
    /// Per partition: the package of its crate.
    pub(crate) packages: Vec<Option<Package>>,
    /// All packages.
    pub(crate) all_packages: Vec<Package>,
    /// Some window could not be read: "nobody runs it" can't be concluded.
    pub(crate) unclear: bool,
}

/// Fills in all but the schedules, which the window rules have placed already.
pub(crate) fn compute(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let mut facts = std::mem::take(&mut cx.facts);
    facts.unclear = facts.schedules.iter().any(|s| s.unclear);
    facts.windowed = d
        .schedules
        .iter()
        .flat_map(|s| s.cores.iter().flat_map(|(_, w)| w))
        .filter(|w| !w.absent)
        .filter_map(|w| w.run.good().map(|r| r.value.text.clone()))
        .collect();
    for partition in &d.partitions {
        let name = time_partition_name(partition);
        let time = (partition.time_partition.is_written() || facts.windowed.contains(&name)).then_some(name);
        let cores = match partition.cores.good() {
            Some(cores) => cores.value.iter().map(|c| u32::try_from(c.value).unwrap_or(0)).collect(),
            None => time.as_deref().map_or(vec![0], |t| windows_on(&facts.schedules, t)),
        };
        facts.cores.push(if cores.is_empty() { vec![0] } else { cores });
        facts.time_partition.push(time);
    }
    facts.all_packages =
        if d.partitions.iter().any(|p| p.krate.is_written() || p.guest.is_some()) || d.consoles.is_empty() {
            cx.env.packages(cx.folder)
        } else {
            Vec::new()
        };
    for partition in &d.partitions {
        let name = match (partition.krate.good(), &partition.guest) {
            (Some(krate), _) => Some(krate.value.text.clone()),
            (None, Some(_)) => Some(format!("shim-{}", cx.arch.name())),
            _ => None,
        };
        facts.packages.push(name.and_then(|n| facts.all_packages.iter().find(|p| p.name == n).cloned()));
    }
    cx.facts = facts;
}

/// The name under which windows run a partition.
pub(crate) fn time_partition_name(partition: &Partition) -> String {
    partition.time_partition.good().map_or_else(|| partition.name.value.clone(), |t| t.value.text.clone())
}

/// The cores on which a time partition has windows, in the first schedule that runs it.
fn windows_on(schedules: &[PlacedSchedule], time_partition: &str) -> Vec<u32> {
    for schedule in schedules {
        let on = schedule.cores_of(time_partition);
        if !on.is_empty() {
            return on;
        }
    }
    Vec::new()
}

impl PlacedSchedule {
    /// The cores on which a time partition has windows, sorted.
    pub(crate) fn cores_of(&self, time_partition: &str) -> Vec<u32> {
        let mut on: Vec<u32> = self
            .cores
            .iter()
            .filter(|c| c.windows.iter().any(|w| !w.absent && w.run == time_partition))
            .map(|c| c.core)
            .collect();
        on.sort_unstable();
        on
    }
}
