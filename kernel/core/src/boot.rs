// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the plan to kernel objects.

use crate::check::check;
use crate::deadlines::Deadlines;
use crate::kernel::{CoreData, CoreShared, Job, Line, Queue, Shared, Window};
use crate::machine::Arena;
use crate::partition::{Partition, WindowCount};
use crate::port::Channel;
use crate::ready::ReadySet;
use crate::sync::{AtomicU32, AtomicU64, Lock};
use crate::trace::Trace;
use crate::vcpu::{Accounts, Mailbox, Start, State, Vcpu, task};
use core::cell::Cell;
use core::ops::Range;
use parzelle_abi::NEVER;
use parzelle_plan::{CoreRecord, NONE, Plan, VcpuRecord};

/// Why a plan is refused: what, where, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The table of the plan.
    pub table: &'static str,
    /// The record in it.
    pub index: u32,
    /// What is wrong, and what would be right.
    pub what: &'static str,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}: {}", self.table, self.index, self.what)
    }
}

/// What boot makes of a plan.
pub struct Booted {
    /// What the cores share.
    pub shared: &'static Shared,
    /// What each core owns, by number.
    pub cores: &'static mut [CoreData],
}

/// Checks the plan and makes the kernel objects.
///
/// # Errors
/// What [`check`] finds, or an arena that is too small.
pub fn boot(plan: Plan<'static>, arena: &mut impl Arena) -> Result<Booted, Refusal> {
    check(&plan)?;
    objects(plan, arena).ok_or(Refusal {
        table: "system",
        index: 0,
        what: "the arena is too small for the kernel objects: the image was built for another kernel",
    })
}

fn objects(plan: Plan<'static>, arena: &mut impl Arena) -> Option<Booted> {
    let cores: &'static [CoreShared] = arena.take(plan.cores().len(), |arena, number| {
        let vcpus = plan.cores().get(number)?.vcpus.count as usize;
        let inbox = arena.take(vcpus.div_ceil(64), |_, _| Some(AtomicU64::new(0)))?;
        Some(CoreShared { number: number as u32, queue: AtomicU32::new(0), floor: AtomicU32::new(u32::MAX), inbox })
    })?;
    let windows: &'static [WindowCount] = arena.take(plan.queues().len(), |_, _| Some(WindowCount::default()))?;
    windows.iter().for_each(|count| count.late_min.set(u64::MAX));
    let shared: &'static [Shared] = arena.take(1, |arena, _| {
        Some(Shared {
            plan,
            partitions: arena.take(plan.partitions().len(), |_, number| Partition::new(&plan, number))?,
            channels: arena.take(plan.channels().len(), |arena, index| Channel::new(&plan, arena, index))?,
            mailboxes: arena.take(plan.vcpus().len(), |_, number| mailbox(&plan, cores, windows, number))?,
            windows,
            cores,
            schedule: AtomicU64::new(u64::from(plan.system.first_schedule) << 48),
        })
    })?;
    let shared = shared.first()?;
    let cores = arena.take(cores.len(), |arena, number| core_data(shared, arena, number))?;
    Some(Booted { shared, cores })
}

fn mailbox(
    plan: &Plan<'static>,
    cores: &'static [CoreShared],
    windows: &'static [WindowCount],
    number: usize,
) -> Option<Mailbox> {
    let vcpu = plan.vcpus().get(number)?;
    let home = plan.cores().get(vcpu.core as usize)?;
    Some(Mailbox {
        pending: AtomicU64::new(0),
        requests: AtomicU32::new(0),
        start: Lock::new(None),
        begun: AtomicU32::new(0),
        core: cores.get(vcpu.core as usize)?,
        local: (number as u32).checked_sub(home.vcpus.first)?,
        queue: vcpu.queue.checked_sub(home.queues.first)?,
        priority: vcpu.priority,
        windows: windows.get(vcpu.queue as usize)?,
        accounts: Accounts::default(),
    })
}

fn core_data(shared: &'static Shared, arena: &mut impl Arena, number: usize) -> Option<CoreData> {
    let plan = &shared.plan;
    let core = plan.cores().get(number)?;
    let records = plan.vcpus().get(core.vcpus.range())?;
    let home = |line: &parzelle_plan::LineRecord| {
        let local = line.vcpu.checked_sub(core.vcpus.first)?;
        Some((local as usize, records.get(local as usize)?.queue - core.queues.first))
    };
    // The lines that vCPUs here hear, sorted by queue: (queue, vCPU, index in the plan).
    let heard = plan.lines().iter().enumerate();
    let heard = heard.filter_map(|(index, line)| home(line).map(|(local, queue)| (queue, local, index)));
    let mut all = heard.clone();
    let order = arena.take(heard.clone().count(), |_, _| all.next())?;
    order.sort_unstable();

    let queues: &'static [Queue] =
        arena.take(core.queues.count as usize, |arena, index| queue(shared, arena, core, index as u32, order))?;
    let background = queues.first()?;
    // Time partition 0 is sorted by priority: those that may go before a window come first.
    let lowest = records.iter().filter(|vcpu| vcpu.queue != core.queues.first).map(|vcpu| vcpu.priority).min();
    let outranking = |priority: u32| {
        records.iter().filter(|vcpu| vcpu.queue == core.queues.first && vcpu.priority > priority).count() as u32
    };
    let urgent: &'static [Deadlines] =
        arena.take(1, |arena, _| Deadlines::new(arena, lowest.map_or(0, outranking) as usize))?;
    let urgent = urgent.first()?;
    let vcpus: &'static [Vcpu] = arena.take(records.len(), |_, local| {
        let record = records.get(local)?;
        let queue = queues.get((record.queue - core.queues.first) as usize)?;
        let slot = local as u32 - queue.vcpus.start;
        let outranked = if queue.is_background() { 0 } else { outranking(record.priority) };
        let may_go_first = queue.is_background() && slot < lowest.map_or(0, outranking);
        let partition = shared.partitions.get(record.partition as usize)?;
        Some(Vcpu {
            record,
            number: core.vcpus.first + local as u32,
            partition,
            floor: partition.stack_floor(record.stack),
            mailbox: shared.mailboxes.get(core.vcpus.first as usize + local)?,
            queue,
            slot,
            class: class(records, local, queue.vcpus.start),
            outranked,
            deadlines: if may_go_first { urgent } else { &queue.deadlines },
            state: Cell::new(State::Stopped),
            tasks: Cell::new(task::START),
            limited: record.budget != 0,
            horizon: match (record.budget, queue.is_background(), outranked) {
                (0, true, _) => 0,
                (0, false, 0) => 1,
                (0, false, _) => 2,
                _ => 3,
            },
            interest: Cell::new(0),
            upcall_interest: Cell::new(0),
            guest_interest: Cell::new(0),
            upcall: Cell::new((0, 0)),
            deadline: Cell::new(NEVER),
            timer: Cell::new(NEVER),
            budget_left: Cell::new(record.budget),
            period_start: Cell::new(0),
            start: Cell::new(Start::default()),
            region_hint: Cell::new(0),
        })
    })?;
    let lines: &'static [Line] = arena.take(order.len(), |_, place| {
        let &(_, local, index) = order.get(place)?;
        let record = plan.lines().get(index)?;
        let vcpu = vcpus.get(local)?;
        Some(Line { number: record.line, index: index as u32, vcpu, event: record.event, open: Cell::new(false) })
    })?;
    let limit = lines.iter().map(|line| line.number as usize + 1).max().unwrap_or(0);
    let line_places = arena.take(limit, |_, number| {
        Some(lines.iter().position(|line| line.number as usize == number).map_or(u16::MAX, |place| place as u16))
    })?;
    let trace = if core.trace_bytes == 0 { None } else { Some(arena.trace(core.trace, core.trace_bytes)?) };
    Some(CoreData {
        core: shared.cores.get(number)?,
        first_vcpu: core.vcpus.first,
        vcpus,
        queues,
        background,
        urgent,
        lines,
        line_places,
        trace: Trace::new(trace),
        window: Window {
            schedule: plan.system.first_schedule,
            frame: u64::MAX,
            frame_start: NEVER,
            start: NEVER,
            end: NEVER,
            queue: background,
            slack: false,
            rest: &[],
        },
        current: None,
        loaded: None,
        since: 0,
        armed: NEVER,
        due: 0,
        floor: u32::MAX,
        jobs: arena.take(shared.partitions.len(), |_, _| Some(Job { progress: 0, life: 0, next: NONE }))?,
        working: 0,
        changes: &[],
    })
}

/// The first and the last place in its queue, which begins at `first`, with a vCPU's priority.
fn class(records: &[VcpuRecord], local: usize, first: u32) -> (u32, u32) {
    let equal = |other: &VcpuRecord| {
        records.get(local).is_some_and(|own| other.queue == own.queue && other.priority == own.priority)
    };
    let begin = records.iter().position(equal).unwrap_or(local) as u32;
    let end = records.iter().rposition(equal).unwrap_or(local) as u32;
    (begin - first, end - first)
}

fn queue(
    shared: &'static Shared,
    arena: &mut impl Arena,
    core: &CoreRecord,
    number: u32,
    lines: &[(u32, usize, usize)],
) -> Option<Queue> {
    let index = core.queues.first + number;
    let vcpus = shared.plan.queues().get(index as usize)?.vcpus;
    let first = vcpus.first - core.vcpus.first;
    let before = |bound: u32| lines.partition_point(|line| line.0 < bound) as u32;
    Some(Queue {
        number,
        index,
        vcpus: Range { start: first, end: first + vcpus.count },
        ready: ReadySet::new(arena, vcpus.count as usize)?,
        deadlines: Deadlines::new(arena, vcpus.count as usize)?,
        cursor: Cell::new(0),
        lines: before(number)..before(number + 1),
        work: Cell::new(NONE),
        count: shared.windows.get(index as usize)?,
    })
}
