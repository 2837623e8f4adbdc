// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A scheduler that changes threads at random times.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parzelle_rt::arch::{FpState, Frame, frame_for};
use parzelle_rt::time::{MICROSECOND, now, set_timer};
use parzelle_rt::upcall::Upcall;
use parzelle_rt::{Once, idle};
use test_support::{Random, probe};

/// Threads: the main one and two others.
const THREADS: usize = 3;

/// A thread that doesn't run.
#[derive(Clone, Copy)]
struct Thread {
    frame: Option<Frame>,
    fp: FpState,
}

/// All threads, and which of them runs.
struct State {
    threads: [Thread; THREADS],
    current: usize,
    random: Random,
}

/// The state, which only the handler and, before the first timer event, `begin` touch.
struct Cell(UnsafeCell<State>);

// SAFETY: there is one vCPU; the handler isn't interrupted, and `begin` is over before its events
// begin.
unsafe impl Sync for Cell {}

static STATE: Cell = Cell(UnsafeCell::new(State {
    threads: [Thread { frame: None, fp: FpState::new() }; THREADS],
    current: 0,
    random: Random::new(4711),
}));

static STACKS: [Once<Area>; 2] = [const { Once::new(Area([0; 8192])) }; 2];
static STARTED: AtomicBool = AtomicBool::new(false);
static SWITCHES: AtomicU64 = AtomicU64::new(0);

/// A thread's stack.
#[repr(C, align(16))]
struct Area([u8; 8192]);

/// Creates two threads and begins to switch.
pub(crate) fn begin(entries: [extern "C" fn(u64) -> !; 2]) {
    // SAFETY: no timer event comes before the timer is set, below.
    let state = unsafe { &mut *STATE.0.get() };
    let places = state.threads.iter_mut().skip(1).zip(&STACKS);
    for ((thread, stack), entry) in places.zip(entries) {
        let Some(stack) = stack.take() else { idle() };
        let top = stack.0.as_mut_ptr_range().end as u64;
        thread.frame = Some(frame_for(entry, top, 0));
    }
    STARTED.store(true, Relaxed);
    // Without a timer nothing is switched, and the test fails by that.
    let _ = set_timer(now());
}

/// How often threads were switched.
pub(crate) fn switches() -> u64 {
    SWITCHES.load(Relaxed)
}

/// The upcall handler.
pub(crate) fn handle(upcall: &mut Upcall<'_>) {
    if probe::handle(upcall) || !STARTED.load(Relaxed) {
        return;
    }
    // SAFETY: handlers don't interrupt each other, and `begin` is over.
    let state = unsafe { &mut *STATE.0.get() };
    let next = state.random.below(THREADS as u64) as usize;
    let frame = upcall.frame();
    if let Some(thread) = state.threads.get_mut(state.current) {
        thread.frame = Some(frame);
        if let Some(fp) = &upcall.fp {
            thread.fp = **fp;
        }
    }
    if let Some(thread) = state.threads.get(next) {
        if let Some(frame) = &thread.frame {
            // SAFETY: the frame is an interrupted one or was made by `frame_for` for its stack.
            unsafe { upcall.set_frame(frame) };
        }
        if let Some(fp) = &mut upcall.fp {
            **fp = thread.fp;
        }
    }
    SWITCHES.fetch_add(u64::from(next != state.current), Relaxed);
    state.current = next;
    let pause = MICROSECOND + state.random.below(50 * MICROSECOND);
    // Refused never; if it were, nothing would be switched any more, and the test would fail.
    let _ = set_timer(now() + pause);
}
