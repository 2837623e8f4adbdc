// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Events: raising them, waking who waits for them, and giving them to who runs.

use crate::kernel::{CoreState, Queue, due};
use crate::machine::{Machine, Upcall};
use crate::vcpu::{Mailbox, REQUEST_START, REQUEST_STOP, State, Vcpu, task};
use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::stats::Exit;
use parzelle_abi::vcpu_page::{UpcallReason, VcpuHead};

/// How many mailboxes of time partition 0 are read before interrupts are looked at again.
const MAILS_AT_ONCE: u32 = 4;

impl<M: Machine> CoreState<M> {
    /// Raises events in a vCPU (index in the plan) of any core.
    pub(crate) fn signal(&mut self, number: u32, events: u64) {
        if let Some(vcpu) = self.local(number) {
            self.signal_local(vcpu, events);
        } else if let Some(mailbox) = self.shared.mailboxes.get(number as usize)
            // What was pending has been announced.
            && mailbox.pending.fetch_or(events, SeqCst) & events != events
        {
            self.notify(mailbox);
        }
    }

    /// Tells a vCPU's core that its mailbox has something new, with an interrupt only if the vCPU
    /// could run there now; otherwise the core looks when it enters a window.
    pub(crate) fn notify(&mut self, mailbox: &Mailbox) {
        let core = mailbox.core;
        if let Some(word) = core.inbox.get(mailbox.local as usize / 64) {
            word.fetch_or(1 << (mailbox.local % 64), SeqCst);
        }
        let runs = match mailbox.queue {
            0 => mailbox.priority >= core.floor.load(SeqCst),
            queue => queue == core.queue.load(SeqCst),
        };
        if runs {
            self.machine.kick(core.number);
        }
    }

    /// Raises events in a vCPU of this core.
    pub(crate) fn signal_local(&mut self, vcpu: &'static Vcpu, events: u64) {
        let pending = vcpu.mailbox.pending.fetch_or(events, Relaxed) | events;
        match vcpu.state.get() {
            // If it is the current one: look whether that interests it.
            State::Ready => self.data.due |= due::ATTEND,
            State::Waiting if pending & vcpu.interest.get() != 0 => {
                self.make_ready(vcpu);
                self.update_deadline(vcpu);
            }
            _ => {}
        }
    }

    /// Makes a vCPU ready, if it has time left. The caller updates its deadline.
    pub(crate) fn make_ready(&mut self, vcpu: &'static Vcpu) {
        if vcpu.state.get() == State::Waiting {
            vcpu.tasks.set(vcpu.tasks.get() | task::WAKE);
        }
        if vcpu.limited && vcpu.budget_left.get() == 0 {
            // It has nothing left to run on: the next period makes it ready.
            vcpu.state.set(State::Exhausted);
            return self.not_ready(vcpu);
        }
        vcpu.state.set(State::Ready);
        vcpu.mailbox.accounts.wake_ups.add(1);
        vcpu.queue.ready.insert(vcpu.slot as usize);
        // Nothing changes when the current one goes first anyway.
        let first = match self.data.current {
            Some(current) if current.queue.number == vcpu.queue.number => current.class.0,
            Some(current) if vcpu.queue.is_background() => current.outranked,
            _ => u32::MAX,
        };
        if vcpu.slot < first && self.eligible(vcpu.queue) {
            self.data.due |= due::RESCHEDULE;
        }
    }

    /// Takes a vCPU that can't run any more from its queue.
    pub(crate) fn not_ready(&mut self, vcpu: &Vcpu) {
        vcpu.queue.ready.remove(vcpu.slot as usize);
        self.data.due |= due::RESCHEDULE;
    }

    /// Looks what other cores have left for vCPUs that may run now: all of the window's, and of
    /// time partition 0 a few at a time, when it is its turn. The rest waits, at no cost to others.
    pub(crate) fn read_inbox(&mut self) {
        let queue = self.data.window.queue;
        if !queue.is_background() {
            self.read_inbox_of(queue, u32::MAX);
        }
        if self.data.floor != u32::MAX && !self.read_inbox_of(self.data.background, MAILS_AT_ONCE) {
            self.data.due |= due::URGENT;
        }
    }

    /// Reads at most `limit` mailboxes of a queue; `false` if some are left.
    fn read_inbox_of(&mut self, queue: &Queue, limit: u32) -> bool {
        let mut read = 0;
        for (word, base) in self.data.core.inbox.iter().zip((0..).step_by(64)) {
            // The bits of this word that stand for the queue's vCPUs.
            let below = |end: u32| match end.saturating_sub(base) {
                bits @ 0..64 => (1u64 << bits) - 1,
                _ => u64::MAX,
            };
            let mut bits = word.load(SeqCst) & below(queue.vcpus.end) & !below(queue.vcpus.start);
            while bits != 0 {
                if read == limit {
                    return false;
                }
                let bit = bits & bits.wrapping_neg();
                bits ^= bit;
                word.fetch_and(!bit, SeqCst);
                if let Some(vcpu) = self.data.vcpus.get((base + bit.trailing_zeros()) as usize) {
                    self.read_mailbox(vcpu);
                }
                read += 1;
            }
        }
        true
    }

    fn read_mailbox(&mut self, vcpu: &'static Vcpu) {
        let requests = vcpu.mailbox.requests.swap(0, SeqCst);
        if requests & REQUEST_STOP != 0 {
            self.stop_vcpu(vcpu);
            self.close_lines(vcpu.partition);
            self.stopped(vcpu.partition);
        }
        if requests & REQUEST_START != 0 {
            let start = vcpu.mailbox.start.lock().take();
            if let Some(start) = start {
                self.start_vcpu(vcpu, start);
            }
        }
        self.signal_local(vcpu, 0);
    }

    /// Gives the vCPU that runs next what is due to it.
    pub(crate) fn deliver(&mut self) {
        let Some(vcpu) = self.data.current else { return };
        let tasks = vcpu.tasks.replace(0);
        if tasks & task::START != 0 {
            let (start, head) = (vcpu.start.get(), self.head(vcpu));
            return self.machine.start(start.entry, start.stack, start.arguments, &head);
        }
        if tasks & task::WAKE != 0 {
            let events = take(vcpu, vcpu.interest.get());
            self.machine.set_result(0, events);
        }
        if tasks & task::WINDOW != 0 {
            self.machine.set_window_start(self.data.window.start);
        }
        let interest = vcpu.upcall_interest.get() | vcpu.guest_interest.get();
        if vcpu.mailbox.pending.load(Acquire) & interest != 0 {
            self.interrupt_current(vcpu, false);
        }
    }

    /// Leaves the guest context of the loaded vCPU: its call returns with the reason.
    pub(crate) fn leave_guest(&mut self, loaded: &Vcpu, exit: GuestExit) {
        loaded.guest_interest.set(0);
        count(Some(loaded), Exit::GuestSync as usize + exit as usize);
        self.machine.leave_guest(exit);
        self.machine.set_result(0, exit as u64);
    }

    /// Enters the upcall handler of the current vCPU, or leaves its guest, if an event of
    /// interest is pending. `keep_frame`: the frame in the page has not been resumed.
    pub(crate) fn interrupt_current(&mut self, vcpu: &Vcpu, keep_frame: bool) -> bool {
        if self.machine.in_guest() {
            if vcpu.mailbox.pending.load(Acquire) & vcpu.guest_interest.get() != 0 {
                self.leave_guest(vcpu, GuestExit::Event);
            }
            return false;
        }
        let (entry, stack) = vcpu.upcall.get();
        if entry == 0 || !keep_frame && self.machine.upcalls_masked() {
            return false;
        }
        let events = take(vcpu, vcpu.upcall_interest.get());
        if events == 0 {
            return false;
        }
        let upcall = Upcall { entry, stack, reason: UpcallReason::Events, events, fault: None };
        self.machine.enter_upcall(&upcall, keep_frame);
        true
    }

    /// The head of a fresh vCPU page. The machine fills in what it knows of the counter.
    fn head(&self, vcpu: &Vcpu) -> VcpuHead {
        let [generation, condition, mode] = {
            let state = &vcpu.partition.state;
            [state.generation.load(Relaxed), state.condition.load(Relaxed), state.life.now().mode].map(u64::from)
        };
        let (window_start, vcpu) = (self.data.window.start, u64::from(vcpu.record.index));
        VcpuHead { window_start, generation, condition, mode, vcpu, ..VcpuHead::default() }
    }
}

/// Counts that a vCPU, if one is current, or its guest is left.
pub(crate) fn count(vcpu: Option<&Vcpu>, exit: usize) {
    if let Some(count) = vcpu.and_then(|vcpu| vcpu.mailbox.accounts.exits.get(exit)) {
        count.add(1);
    }
}

/// Takes pending events of interest.
pub(crate) fn take(vcpu: &Vcpu, interest: u64) -> u64 {
    let events = vcpu.mailbox.pending.load(Acquire) & interest;
    if events != 0 {
        vcpu.mailbox.pending.fetch_and(!events, Acquire);
    }
    events
}
