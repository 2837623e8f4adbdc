// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Several cores with random schedules and partitions that do anything, for simulated hours.
//!
//! Cores take turns, always the one whose next event is the earliest: its timer, a kick (which comes
//! some time after it was sent, merged with others), or the next call of the vCPU that runs. So this
//! has no races, for those see `tests/harness/model`; it has time, and looks at the rules of time
//! after each step.

use super::{Cell, MEMORY, MS, System};
use crate::CoreState;
use crate::machine::Fault;
use crate::machine::fake::Fake;
use crate::vcpu::State;
use parzelle_abi::health::{Action, ErrorId, Mode};
use parzelle_abi::{Call, NEVER, event};
use parzelle_plan::{QUEUING, RIGHT_CONTROL, RIGHT_SCHEDULE};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// The unit of windows; a frame has [`UNITS`].
const UNIT: u64 = 5 * MS;
const UNITS: u64 = 12;
const FRAME: u64 = UNIT * UNITS;
/// The longest that a kick takes.
const KICK: u64 = 30_000;
/// What a core may be late: the fake's clock goes on by a nanosecond with each reading.
const LATE: u64 = 500;

/// Cheap numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Board {
    cores: Vec<CoreState<Fake>>,
    /// Kicks sent and not taken, by core.
    kicked: Rc<RefCell<Vec<bool>>>,
    kicks: Vec<u64>,
    /// When who runs does something next, and who that is.
    acts: Vec<(Option<u32>, u64)>,
    /// By vCPU: when its budget was last looked at, and what it had used.
    used: Vec<(u64, u64)>,
    dice: Dice,
    now: u64,
    /// All wait for whatever comes.
    calm: bool,
}

impl Board {
    fn boot(system: &System, seed: u64) -> Board {
        let (plan, mut cores) = system.boot_cores();
        let kicked = Rc::new(RefCell::new(vec![false; cores.len()]));
        for core in &mut cores {
            let kicked = kicked.clone();
            core.machine.wire = Some(Box::new(move |target| kicked.borrow_mut()[target as usize] = true));
            core.start(MS);
        }
        let (kicks, acts) = (vec![NEVER; cores.len()], vec![(None, NEVER); cores.len()]);
        let used = vec![(MS, 0); plan.vcpus().len()];
        Board { cores, kicked, kicks, acts, used, dice: Dice(seed), now: 0, calm: false }
    }

    /// When a core has something to do.
    fn due(&self, core: usize) -> u64 {
        self.cores[core].machine.armed.min(self.kicks[core]).min(self.acts[core].1)
    }

    /// Lets the next thing happen, unless that is after `end`.
    fn step(&mut self, end: u64) -> bool {
        let Some(number) = (0..self.cores.len()).min_by_key(|&core| self.due(core)) else { return false };
        let at = self.due(number);
        if at > end {
            return false;
        }
        self.now = self.now.max(at);
        let core = &mut self.cores[number];
        core.machine.time = core.machine.time.max(at);
        if core.machine.armed <= at {
            core.on_timer();
        } else if self.kicks[number] <= at {
            self.kicks[number] = NEVER;
            core.on_kick();
        } else {
            self.acts[number] = (None, NEVER);
            self.act(number);
        }
        for (core, kicked) in self.kicked.borrow_mut().iter_mut().enumerate() {
            if std::mem::take(kicked) && self.kicks[core] == NEVER {
                self.kicks[core] = at + self.dice.below(KICK);
            }
        }
        let running = self.cores[number].current();
        if running != self.acts[number].0 {
            let computes = self.dice.below(if self.calm { 1000 } else { 4 * MS });
            self.acts[number] = (running, running.map_or(NEVER, |_| at + computes));
        }
        for core in 0..self.cores.len() {
            self.cores[core].machine.contexts.values_mut().for_each(|context| context.results.clear());
        }
        self.rules(number);
        true
    }

    /// A call or a fault of who runs on a core.
    fn act(&mut self, number: usize) {
        let (dice, core) = (&mut self.dice, &mut self.cores[number]);
        let now = core.machine.time;
        let soon = now + 1 + dice.below(3 * FRAME / 2);
        let interest = [0, event::WINDOW, event::ALL, 1 << 20][dice.below(4) as usize];
        let (partitions, siblings) = {
            let vcpu = core.data.current.unwrap();
            (core.shared.partitions.len() as u64, vcpu.partition.vcpus.len() as u64)
        };
        let (call, arguments) = match dice.below(40) {
            _ if self.calm => (Call::Wait, [NEVER, event::ALL, 0]),
            0..8 => (Call::Wait, [soon, interest, 0]),
            8..14 => (Call::Wait, [NEVER, event::WINDOW | interest, 0]),
            14..17 => (Call::Wait, [0, interest, 0]),
            17..22 => (Call::Ring, [0, 0, 0]),
            22..26 => (Call::QueuingSend, [dice.below(2), MEMORY, 1 + dice.below(64)]),
            26..30 => (Call::QueuingReceive, [dice.below(2), MEMORY, 64]),
            30..32 => (Call::SetTimer, [soon, 0, 0]),
            32..34 => (Call::StartVcpu, [dice.below(siblings), 0x1000, 0]),
            34 => (Call::Kick, [dice.below(siblings), event::SOFTWARE, 0]),
            35 => (Call::SetMode, [dice.below(4), 0, 0]),
            36 => (Call::SetSchedule, [dice.below(2), 0, 0]),
            37 => (
                Call::Control,
                [dice.below(partitions), [Mode::Idle, Mode::ColdStart][dice.below(2) as usize] as u64, 0],
            ),
            38 => return core.on_fault(Fault { error: ErrorId::MemoryViolation, syndrome: 0, address: 0 }),
            _ => (Call::Time, [0; 3]),
        };
        core.on_call(call as u64, [arguments[0], arguments[1], arguments[2], 0, 0]);
    }

    /// What has to hold on a core whenever it leaves the kernel.
    fn rules(&mut self, number: usize) {
        let core = &self.cores[number];
        let (data, now) = (&core.data, core.machine.time);
        let (window, background) = (data.window, data.background);
        if now < MS {
            return assert!(data.current.is_none(), "nothing runs before the first window");
        }
        // Time: the window is the planned one, whatever this and other cores do.
        let frame = (now - LATE.min(now - MS) - MS) / FRAME;
        assert!(window.frame == frame || window.frame == frame + 1, "{} at {now}", window.frame);
        assert_eq!(window.frame_start, MS + window.frame * FRAME);
        assert!(window.start <= now && now <= window.end + LATE, "{}..{} at {now}", window.start, window.end);
        // Who runs: the first of the window, or of time partition 0 with more priority or in slack.
        let priority =
            |slot: Option<usize>, first: u32| slot.map(|slot| data.vcpus[first as usize + slot].record.priority);
        let own = if window.queue.is_background() {
            None
        } else {
            priority(window.queue.ready.first(), window.queue.vcpus.start)
        };
        let other = priority(background.ready.first(), background.vcpus.start);
        let expected = match (own, other) {
            (Some(own), Some(other)) if other > own => Some((0, other)),
            (Some(own), _) => Some((window.queue.number, own)),
            (None, Some(other)) if window.slack => Some((0, other)),
            _ => None,
        };
        let running = data.current.map(|vcpu| (vcpu.queue.number, vcpu.record.priority));
        assert_eq!(running, expected, "core {number} at {now} in the window of {}", window.queue.number);
        // Accounts and budgets.
        let mut sum = 0;
        for vcpu in data.vcpus {
            let (used, slack) = (vcpu.mailbox.accounts.used.get(), vcpu.mailbox.accounts.slack.get());
            assert!(slack <= used);
            sum += used;
            let (since, base) = self.used[vcpu.number as usize];
            if vcpu.limited && now - since >= vcpu.record.period {
                let periods = (now - since) / vcpu.record.period + 2;
                assert!(used - base <= periods * (vcpu.record.budget + LATE), "{} in {}", used - base, now - since);
                self.used[vcpu.number as usize] = (now, used);
            }
        }
        assert!(sum <= now - MS + LATE, "{sum} used in {now}");
    }

    /// What has to hold between cores, in the middle of a frame.
    fn agree(&self) {
        let view = |core: &CoreState<Fake>| (core.data.window.frame, core.data.window.schedule);
        for core in &self.cores {
            assert_eq!(view(core), view(&self.cores[0]), "all cores are in the same frame of the same schedule");
        }
    }

    fn run(&mut self, end: u64) {
        while self.step(end) {}
        self.now = end;
    }

    /// Nothing that a vCPU waits for is left in its mailbox, if it has had a window.
    fn delivered(&self) {
        for core in &self.cores {
            let timeline = &core.shared.plan.timelines()
                [core.data.window.schedule as usize * self.cores.len() + core.data.core.number as usize];
            let windows = &core.shared.plan.windows()[timeline.windows.range()];
            let planned = |queue: u32| windows.iter().any(|window| window.queue == queue);
            for vcpu in core.data.vcpus.iter().filter(|vcpu| planned(vcpu.queue.number)) {
                let pending = vcpu.mailbox.pending.load(core::sync::atomic::Ordering::SeqCst);
                let requests = vcpu.mailbox.requests.load(core::sync::atomic::Ordering::SeqCst);
                assert_eq!(requests, 0, "requests to vCPU {}", vcpu.number);
                if vcpu.state.get() == State::Waiting {
                    assert_eq!(pending & vcpu.interest.get(), 0, "vCPU {} sleeps on", vcpu.number);
                }
            }
            let counts = core.data.queues.iter().map(|queue| queue.count);
            for count in counts {
                assert_eq!((count.missed.get(), count.skipped.get()), (0, 0));
                assert!(count.late_max.get() <= LATE, "{} late", count.late_max.get());
            }
        }
    }
}

/// Windows that fill a frame, from any list.
fn fill(list: &[(u32, u64)]) -> Vec<(u32, u64)> {
    let mut left = UNITS;
    let mut windows = vec![];
    for &(queue, units) in list {
        let units = units.min(left);
        if units > 0 {
            windows.push((queue, units * UNIT));
        }
        left -= units;
    }
    if left > 0 {
        windows.push((0, left * UNIT));
    }
    windows
}

prop_compose! {
    fn systems()(
        cores in 1u32..5,
        cells in proptest::collection::vec((0u32..4, 0u32..3, 90u32..110, any::<bool>()), 2..8),
        more in proptest::collection::vec((0u32..8, 0u32..4, 0u32..3, 90u32..110), 0..5),
        windows in proptest::collection::vec(proptest::collection::vec((0u32..3, 1u64..5), 0..6), 8),
    ) -> System {
        let count = cells.len() as u32;
        let cell = |core: u32, queue, priority, limited| Cell {
            core: core % cores, queue, priority, budget: if limited && queue == 0 { (MS, 20 * MS) } else { (0, 0) }, ..Cell::default()
        };
        System {
            cells: cells.iter().map(|&(core, queue, priority, limited)| cell(core, queue, priority, limited)).collect(),
            more: more.iter().map(|&(of, core, queue, priority)| (of % count, cell(core, queue, priority, false))).collect(),
            schedules: windows.chunks(4).map(|schedule| schedule[..cores as usize].iter().map(|list| fill(list)).collect()).collect(),
            changes: vec![(1, 1, Action::ColdStart)],
            channels: (0..count).map(|from| (from, vec![(from + 1) % count], QUEUING, 2, 0)).collect(),
            doorbells: (0..count).map(|from| (from, (from + 1) % count)).collect(),
            rights: (1..count).map(|target| (0, RIGHT_CONTROL, target)).chain([(0, RIGHT_CONTROL, 0), (1, RIGHT_CONTROL, 0)])
                .chain((0..2).flat_map(|cell| [(cell, RIGHT_SCHEDULE, 0), (cell, RIGHT_SCHEDULE, 1)])).collect(),
            action: Some(Action::ColdStart),
            restarts: 1_000_000,
            ..System::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_rules_of_time_hold_on_all_cores(system in systems(), seed in any::<u64>()) {
        let mut board = Board::boot(&system, seed);
        let frames = 2000;
        for frame in 0..frames {
            board.run(MS + frame * FRAME + FRAME / 2 + 1);
            board.agree();
        }
        // Who is still there waits for whatever comes: all of it comes.
        board.calm = true;
        board.run(MS + (frames + 8) * FRAME - 1);
        board.delivered();
    }
}
