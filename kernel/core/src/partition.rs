// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What all cores know of a partition.

use crate::life::Life;
use crate::sync::{AtomicU32, AtomicU64};
use crate::vcpu::Counter;
use parzelle_plan::{
    AccessRecord, DoorbellRecord, HealthRecord, PartitionRecord, Plan, PortRecord, RegionRecord, RightRecord,
};

/// A partition: what the plan says of it, and its state. [`Life`] decides which of several cores' wishes
/// for it come true; the rest is written by whoever counts.
pub(crate) struct Partition {
    pub(crate) number: u32,
    pub(crate) record: &'static PartitionRecord,
    /// Its vCPUs, by number there: indices in the plan.
    pub(crate) vcpus: &'static [u32],
    pub(crate) regions: &'static [RegionRecord],
    pub(crate) ports: &'static [PortRecord],
    pub(crate) doorbells: &'static [DoorbellRecord],
    pub(crate) rights: &'static [RightRecord],
    pub(crate) peers: &'static [u32],
    pub(crate) quiesces: &'static [AccessRecord],
    pub(crate) health: &'static HealthRecord,
    pub(crate) state: PartitionState,
}

impl Partition {
    /// Looks up what the plan says of partition `number`; `None` when the plan lacks something,
    /// which `check` has excluded.
    pub(crate) fn new(plan: &Plan<'static>, number: usize) -> Option<Partition> {
        let record = plan.partitions().get(number)?;
        Some(Partition {
            number: number as u32,
            record,
            vcpus: plan.partition_vcpus().get(record.vcpus.range())?,
            regions: plan.regions().get(record.regions.range())?,
            ports: plan.ports().get(record.ports.range())?,
            doorbells: plan.doorbells().get(record.doorbells.range())?,
            rights: plan.rights().get(record.rights.range())?,
            peers: plan.peers().get(record.peers.range())?,
            quiesces: plan.quiesces().get(record.quiesces.range())?,
            health: plan.health().get(record.health as usize)?,
            state: PartitionState::default(),
        })
    }

    /// Whether it has a right. The plan has rights sorted.
    pub(crate) fn may(&self, kind: u32, target: u32) -> bool {
        self.rights.binary_search_by(|right| (right.kind, right.target).cmp(&(kind, target))).is_ok()
    }
}

/// The part of a partition that changes.
#[derive(Default)]
pub(crate) struct PartitionState {
    /// Which life it is, its mode, who has yet to stop.
    pub(crate) life: Life,
    /// A [`parzelle_abi::health::Condition`].
    pub(crate) condition: AtomicU32,
    /// Restarts so far.
    pub(crate) generation: AtomicU32,
    /// 1: it was NORMAL once; those that wait for it were started.
    pub(crate) was_normal: AtomicU32,
    /// 1: it was started once.
    pub(crate) started: AtomicU32,
    /// Restarts by the health monitor in the current period, and when that began.
    pub(crate) restarts_counted: AtomicU32,
    pub(crate) restarts_since: AtomicU64,
    pub(crate) health_events: AtomicU64,
    pub(crate) last_error: AtomicU64,
    pub(crate) last_address: AtomicU64,
    pub(crate) last_code: AtomicU64,
}

/// The windows of a time partition, counted by its core, read by all.
#[derive(Default)]
pub(crate) struct WindowCount {
    /// Entered; over before they could be entered; entered too late, or not at all.
    pub(crate) run: Counter,
    pub(crate) skipped: Counter,
    pub(crate) missed: Counter,
    /// Least and largest distance from planned to actual start; the least is `u64::MAX` before the first.
    pub(crate) late_min: Counter,
    pub(crate) late_max: Counter,
}
