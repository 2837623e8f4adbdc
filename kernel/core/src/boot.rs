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
use crate::trace::Trace;
use crate::vcpu::{Entry, Mailbox, Start, State, Vcpu};
use core::sync::atomic::{AtomicU32, AtomicU64};
use parzelle_abi::NEVER;
use parzelle_plan::{CoreRecord, NONE, Plan, QueueRecord, Span, VcpuRecord};
use spin::mutex::TicketMutex;

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
    let channels = arena.take(plan.channels().len(), |arena, index| {
        Some(TicketMutex::new(Channel::new(arena, plan.channels().get(index)?)?))
    })?;
    let cores = arena.take(plan.cores().len(), |arena, index| {
        let vcpus = plan.cores().get(index)?.vcpus.count as usize;
        let inbox = arena.take(vcpus.div_ceil(64), |_, _| Some(AtomicU64::new(0)))?;
        Some(CoreShared { queue: AtomicU32::new(0), floor: AtomicU32::new(u32::MAX), inbox })
    })?;
    let shared = arena.take(1, |arena, _| {
        Some(Shared {
            plan,
            partitions: arena.take(plan.partitions().len(), |_, _| Some(Partition::default()))?,
            channels,
            mailboxes: arena.take(plan.vcpus().len(), |_, _| Some(Mailbox::default()))?,
            windows: arena.take(plan.queues().len(), |_, _| Some(WindowCount::default()))?,
            cores,
            schedule: AtomicU64::new(u64::from(plan.system.first_schedule) << 48),
        })
    })?;
    let shared = shared.first()?;
    let cores = arena
        .take(plan.cores().len(), |arena, number| core_data(plan, arena, number as u32, plan.cores().get(number)?))?;
    Some(Booted { shared, cores })
}

fn core_data(plan: Plan<'static>, arena: &mut impl Arena, number: u32, core: &CoreRecord) -> Option<CoreData> {
    let records = plan.vcpus().get(core.vcpus.range())?;
    let queues = plan.queues().get(core.queues.range())?;
    let lines = lines(plan, arena, core)?;
    let limit = lines.iter().map(|line| line.number as usize + 1).max().unwrap_or(0);
    let places = arena.take(limit, |_, number| {
        Some(lines.iter().position(|line| line.number as usize == number).map_or(u16::MAX, |place| place as u16))
    })?;
    let vcpus = arena.take(records.len(), |_, local| Some(vcpu(records, queues, core, local)))?;
    let queues =
        arena.take(queues.len(), |arena, index| queue(arena, queues.get(index)?, core, index as u32, lines))?;
    let trace = if core.trace_bytes == 0 { None } else { Some(arena.trace(core.trace, core.trace_bytes)?) };
    Some(CoreData {
        number,
        first_vcpu: core.vcpus.first,
        first_queue: core.queues.first,
        vcpus,
        queues,
        lines,
        line_places: places,
        trace: Trace::new(trace),
        window: Window::NONE,
        current: None,
        loaded: None,
        since: 0,
        armed: NEVER,
        reschedule: false,
        attend: false,
        floor: u32::MAX,
        urgent: false,
        jobs: arena.take(plan.partitions().len(), |_, _| Some(Job { progress: 0, listed: false, next: NONE }))?,
        working: 0,
        begun: false,
        changes: Span::default(),
    })
}

fn vcpu(records: &[VcpuRecord], queues: &[QueueRecord], core: &CoreRecord, local: usize) -> Vcpu {
    let record = records.get(local).copied().unwrap_or_default();
    let queue = record.queue.saturating_sub(core.queues.first);
    let first = queues.get(queue as usize).map_or(0, |queue| queue.vcpus.first - core.vcpus.first);
    let equal = |other: &VcpuRecord| other.queue == record.queue && other.priority == record.priority;
    let class_first = records.iter().position(equal).unwrap_or(local) as u32;
    let class_last = records.iter().rposition(equal).unwrap_or(local) as u32;
    Vcpu {
        state: State::Stopped,
        entry: Entry::Fresh,
        number: core.vcpus.first + local as u32,
        partition: record.partition,
        slot: local as u32 - first,
        queue,
        priority: record.priority,
        class: (class_first - first, class_last - first),
        interest: 0,
        guest_interest: 0,
        upcall_entry: 0,
        upcall_stack: 0,
        upcall_interest: 0,
        deadline: NEVER,
        timer: NEVER,
        budget: record.budget,
        period: record.period,
        budget_left: record.budget,
        period_start: 0,
        start: Start::default(),
        region_hint: 0,
        window_news: false,
    }
}

fn queue(arena: &mut impl Arena, record: &QueueRecord, core: &CoreRecord, index: u32, lines: &[Line]) -> Option<Queue> {
    let count = record.vcpus.count as usize;
    let begin = lines.iter().position(|line| line.queue == index).unwrap_or(0) as u32;
    let end = lines.iter().rposition(|line| line.queue == index).map_or(begin, |last| last as u32 + 1);
    Some(Queue {
        first: record.vcpus.first - core.vcpus.first,
        count: record.vcpus.count,
        ready: ReadySet::new(arena, count)?,
        deadlines: Deadlines::new(arena, count)?,
        cursor: 0,
        lines: (begin, end),
        work: NONE,
    })
}

/// The lines that this core's vCPUs hear, sorted by queue.
fn lines(plan: Plan<'static>, arena: &mut impl Arena, core: &CoreRecord) -> Option<&'static mut [Line]> {
    let home = |vcpu: u32| {
        let local = core.vcpus.range().contains(&(vcpu as usize));
        let queue = plan.vcpus().get(vcpu as usize).map_or(0, |vcpu| vcpu.queue);
        local.then(|| queue.saturating_sub(core.queues.first))
    };
    let count = plan.lines().iter().filter(|line| home(line.vcpu).is_some()).count();
    let mut here = plan.lines().iter().enumerate().filter_map(|(index, line)| Some((index, line, home(line.vcpu)?)));
    let lines = arena.take(count, |_, _| {
        let (index, line, queue) = here.next()?;
        Some(Line {
            number: line.line,
            index: index as u32,
            vcpu: line.vcpu - core.vcpus.first,
            event: line.event,
            open: false,
            queue,
        })
    })?;
    lines.sort_unstable_by_key(|line| line.queue);
    Some(lines)
}
