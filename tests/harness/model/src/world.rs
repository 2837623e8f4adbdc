// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The cores as threads of the checker, with a common clock.
//!
//! A core enters the kernel for a kick that has come, its timer, or a call of the vCPU that runs:
//! which of them comes first is chosen at random. When there is nothing of these, the core lets
//! time pass to what comes next for it; but no further than [`LAG`] beyond what another core has
//! yet to do, so that nobody is later than interrupts and the kernel's paths can be.
//!
//! All threads of an execution share one thread of the host. So what belongs to the test alone
//! lies in the host's own types, which aren't choices of the checker; and a core's state needn't be
//! sent anywhere: its thread takes it from a `thread_local`.

use crate::CoreState;
use crate::machine::fake::Fake;
use crate::system::{MS, System};
use parzelle_abi::{Call, NEVER};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The most that a core is late, in nanoseconds.
const LAG: u64 = 40_000;

thread_local! {
    static CORES: RefCell<Vec<Option<CoreState<Fake>>>> = const { RefCell::new(Vec::new()) };
}

/// What a vCPU does next.
pub(crate) enum Act {
    /// A call.
    Call(Call, [u64; 3]),
    /// It computes until then.
    Until(u64),
}

/// It computes for ever.
pub(crate) const FOREVER: Act = Act::Until(NEVER);

/// Whose turn it is.
pub(crate) struct Turn {
    /// Partition, and vCPU there.
    pub(crate) who: (u32, u32),
    /// Calls since it was started, and how often it was.
    pub(crate) step: u64,
    pub(crate) starts: u64,
    /// Messages sent since then.
    pub(crate) sent: u64,
    /// The last call's result.
    pub(crate) result: Option<(u64, u64)>,
    pub(crate) now: u64,
    /// Another for each execution.
    pub(crate) seed: u64,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A vCPU (of the plan) was started, in a life of its partition.
    Started { vcpu: u32, life: u32 },
    /// A call returned: status and value.
    Returned { vcpu: u32, call: u64, status: u64, value: u64 },
    /// A core is in this frame, with this schedule.
    Frame { frame: u64, schedule: u32 },
    /// A device of somebody was silenced.
    Quiesced,
}

#[derive(Default)]
struct Inner {
    clock: u64,
    seed: u64,
    /// By core: since when, or when, it has something to do; since when a kick is there; who runs
    /// there outside of the kernel (vCPU, partition, life).
    due: Vec<u64>,
    kicked: Vec<Option<u64>>,
    running: Vec<Option<(u32, u32, u32)>>,
    seen: Vec<Seen>,
}

type World = Arc<Mutex<Inner>>;
type Program = fn(&Turn) -> Act;

/// How far a vCPU is: calls and messages sent since its start, starts, the call that has not returned, the result
/// of the one before.
#[derive(Clone, Copy, Default)]
struct Progress {
    step: u64,
    sent: u64,
    starts: u64,
    call: Option<u64>,
    result: Option<(u64, u64)>,
}

struct Core {
    number: usize,
    state: CoreState<Fake>,
    world: World,
    vcpus: BTreeMap<u32, Progress>,
    frame: u64,
}

impl Core {
    fn run(&mut self, program: Program, end: u64) {
        loop {
            let (now, kick, seed) = {
                let mut world = self.world.lock().unwrap();
                let time = self.state.machine.time;
                world.clock = world.clock.max(time);
                (world.clock, world.kicked[self.number], world.seed)
            };
            let armed = self.state.machine.armed;
            let act = self.turn(now, seed).map(|turn| program(&turn));
            let (call, computes) = match act {
                Some(Act::Call(call, arguments)) => (Some((call, arguments)), NEVER),
                Some(Act::Until(time)) => (None, time.max(now + 1)),
                None => (None, NEVER),
            };
            let timer = armed <= now;
            let choices = usize::from(kick.is_some()) + usize::from(timer) + usize::from(call.is_some());
            if choices == 0 {
                if now >= end {
                    self.world.lock().unwrap().due[self.number] = NEVER;
                    return;
                }
                self.pass(armed.min(computes).min(end));
                continue;
            }
            self.world.lock().unwrap().due[self.number] = kick
                .unwrap_or(NEVER)
                .min(if timer { armed } else { NEVER })
                .min(if call.is_some() { now } else { NEVER });
            let choice = thread_rng().gen_range(0..choices);
            self.enter(now);
            match (choice, kick.is_some(), timer) {
                (0, true, _) => {
                    self.world.lock().unwrap().kicked[self.number] = None;
                    self.state.on_kick();
                }
                (0, false, true) | (1, true, true) => self.state.on_timer(),
                _ => self.call(call.expect("it is the only choice left")),
            }
            self.leave();
        }
    }

    fn turn(&mut self, now: u64, seed: u64) -> Option<Turn> {
        let vcpu = self.state.data.current?;
        let Progress { step, starts, sent, result, .. } = *self.vcpus.entry(vcpu.number).or_default();
        Some(Turn { who: (vcpu.partition.number, vcpu.record.index), step, starts, sent, result, now, seed })
    }

    /// Lets time pass.
    fn pass(&mut self, to: u64) {
        {
            let mut world = self.world.lock().unwrap();
            world.due[self.number] = to;
            let bound = world.due.iter().min().map_or(0, |due| due.saturating_add(LAG));
            if to <= bound {
                world.clock = world.clock.max(to);
            }
        }
        shuttle::thread::yield_now();
    }

    /// Nobody of this core runs while it is in the kernel.
    fn enter(&mut self, now: u64) {
        self.state.machine.time = self.state.machine.time.max(now);
        self.world.lock().unwrap().running[self.number] = None;
    }

    fn call(&mut self, (call, [a, b, c]): (Call, [u64; 3])) {
        let vcpu = self.state.current().expect("somebody calls");
        let entry = self.vcpus.entry(vcpu).or_default();
        entry.step += 1;
        entry.call = Some(call as u64);
        self.state.on_call(call as u64, [a, b, c, 0, 0]);
    }

    /// Notes what has happened, and that what runs now may.
    fn leave(&mut self) {
        let mut world = self.world.lock().unwrap();
        let lives = |core: &CoreState<Fake>, vcpu| core.local(vcpu).map_or(0, |vcpu| vcpu.start.get().life);
        for vcpu in std::mem::take(&mut self.state.machine.starts) {
            let progress = self.vcpus.entry(vcpu).or_default();
            *progress = Progress { starts: progress.starts + 1, ..Progress::default() };
            world.seen.push(Seen::Started { vcpu, life: lives(&self.state, vcpu) });
        }
        for (&vcpu, progress) in &mut self.vcpus {
            let context = self.state.machine.contexts.entry(vcpu).or_default();
            let Some((status, value)) = std::mem::take(&mut context.results).pop() else { continue };
            progress.result = Some((status, value));
            if let Some(call) = progress.call.take() {
                progress.sent += u64::from(status == 0 && call == Call::QueuingSend as u64);
                world.seen.push(Seen::Returned { vcpu, call, status, value });
            }
        }
        let silenced = std::mem::take(&mut self.state.machine.quiesced);
        world.seen.extend(silenced.iter().map(|_| Seen::Quiesced));
        let window = &self.state.data.window;
        if window.frame != self.frame {
            self.frame = window.frame;
            world.seen.push(Seen::Frame { frame: window.frame, schedule: window.schedule });
        }
        let Some(vcpu) = self.state.data.current else { return };
        let (number, partition, life) = (vcpu.number, vcpu.partition.number, vcpu.start.get().life);
        for &(_, _, other) in world.running.iter().flatten().filter(|other| other.1 == partition) {
            assert_eq!(other, life, "vCPUs of two lives of partition {partition} run");
        }
        world.running[self.number] = Some((number, partition, life));
    }
}

/// What is there in the end.
pub(crate) struct End {
    pub(crate) seen: Vec<Seen>,
    pub(crate) shared: &'static crate::Shared,
    /// As in [`Turn`].
    pub(crate) seed: u64,
    /// The vCPU that runs, by core.
    pub(crate) running: Vec<Option<u32>>,
}

/// One execution: the system runs until `end`, and what was seen is judged.
fn execute(system: &System, program: Program, end: u64, judge: fn(&End)) {
    let (_, states) = system.boot_cores();
    let shared = states[0].shared;
    let count = states.len();
    let world: World = Arc::new(Mutex::new(Inner {
        clock: MS / 2,
        seed: thread_rng().r#gen(),
        due: vec![MS / 2; count],
        kicked: vec![None; count],
        running: vec![None; count],
        seen: vec![],
    }));
    CORES.with_borrow_mut(|cores| *cores = states.into_iter().map(Some).collect());
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let world = world.clone();
            shuttle::thread::spawn(move || {
                let mut state = CORES.with_borrow_mut(|cores| cores[number].take()).expect("once");
                let wire = world.clone();
                state.machine.wire = Some(Box::new(move |target| {
                    let mut world = wire.lock().unwrap();
                    let now = world.clock;
                    world.kicked[target as usize].get_or_insert(now);
                    let due = &mut world.due[target as usize];
                    *due = now.min(*due);
                }));
                state.start(MS);
                let mut core = Core { number, state, world, vcpus: Default::default(), frame: u64::MAX };
                core.run(program, end);
                core.state.current()
            })
        })
        .collect();
    let running = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let (seen, seed) = {
        let mut world = world.lock().unwrap();
        (std::mem::take(&mut world.seen), world.seed)
    };
    judge(&End { seen, shared, seed, running });
}

/// Tries many orders: half of them at random, half with few changes of who goes on.
pub(crate) fn explore(system: System, program: Program, end: u64, judge: fn(&End)) {
    let runs = std::env::var("PARZELLE_MODEL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(400usize);
    let mut config = shuttle::Config::default();
    (config.stack_size, config.silence_warnings) = (1 << 18, true);
    let random = shuttle::Runner::new(RandomScheduler::new(runs / 2), config.clone());
    let again = system.clone();
    random.run(move || execute(&again, program, end, judge));
    shuttle::Runner::new(PctScheduler::new(4, runs / 2), config).run(move || execute(&system, program, end, judge));
}
