// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Events: raising them, waking who waits for them, and giving them to who runs.

use crate::kernel::CoreState;
use crate::machine::{Machine, Upcall};
use crate::vcpu::{Entry, REQUEST_START, REQUEST_STOP, State};
use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::vcpu_page::{UpcallReason, VcpuHead};

/// How many mailboxes of time partition 0 are read before interrupts are looked at again.
const MAILS_AT_ONCE: u32 = 4;

impl<M: Machine> CoreState<M> {
    /// Raises events in a vCPU (index in the plan) of any core.
    pub(crate) fn signal(&mut self, vcpu: u32, events: u64) {
        if let Some(local) = self.local(vcpu) {
            self.signal_local(local, events);
        } else if let Some(mailbox) = self.shared.mailboxes.get(vcpu as usize) {
            // What was pending has been announced.
            if mailbox.pending.fetch_or(events, SeqCst) & events != events {
                self.notify(vcpu);
            }
        }
    }

    /// Tells a vCPU's core that its mailbox has something new, with an interrupt only if the vCPU
    /// could run there now; otherwise the core looks when it enters a window.
    pub(crate) fn notify(&mut self, vcpu: u32) {
        let plan = &self.shared.plan;
        let Some(record) = plan.vcpus().get(vcpu as usize) else { return };
        let Some((core, home)) =
            self.shared.cores.get(record.core as usize).zip(plan.cores().get(record.core as usize))
        else {
            return;
        };
        let local = vcpu - home.vcpus.first;
        if let Some(word) = core.inbox.get(local as usize / 64) {
            word.fetch_or(1 << (local % 64), SeqCst);
        }
        let queue = record.queue - home.queues.first;
        let runs =
            if queue == 0 { record.priority >= core.floor.load(SeqCst) } else { queue == core.queue.load(SeqCst) };
        if runs {
            self.machine.kick(record.core);
        }
    }

    /// Raises events in a vCPU of this core.
    #[inline]
    pub(crate) fn signal_local(&mut self, local: u32, events: u64) {
        let Some(vcpu) = self.data.vcpus.get(local as usize) else { return };
        let Some(mailbox) = self.shared.mailboxes.get(vcpu.number as usize) else { return };
        let pending = mailbox.pending.fetch_or(events, Relaxed) | events;
        self.data.attend |= self.data.current == Some(local);
        if vcpu.state == State::Waiting && pending & (vcpu.interest) != 0 {
            self.make_ready(local);
            self.update_deadline(local);
        }
    }

    /// Makes a vCPU ready, if it has time left. The caller updates its deadline.
    pub(crate) fn make_ready(&mut self, local: u32) {
        let Some(vcpu) = self.data.vcpus.get_mut(local as usize) else { return };
        if vcpu.state == State::Waiting {
            vcpu.entry = Entry::Wake;
        }
        if vcpu.budget != 0 && vcpu.budget_left == 0 {
            // It has nothing left to run on: the next period makes it ready.
            vcpu.state = State::Exhausted;
            return self.not_ready(local);
        }
        vcpu.state = State::Ready;
        let (queue, slot, partition) = (vcpu.queue, vcpu.slot, vcpu.partition);
        if let Some(partition) = self.shared.partitions.get(partition as usize) {
            partition.wake_ups.fetch_add(1, Relaxed);
        }
        if let Some(queue) = self.data.queues.get_mut(queue as usize) {
            queue.ready.insert(slot as usize);
        }
        if self.eligible(queue) {
            self.data.reschedule = true;
        }
    }

    /// Takes a vCPU that can't run any more from its queue.
    pub(crate) fn not_ready(&mut self, local: u32) {
        let Some(vcpu) = self.data.vcpus.get(local as usize) else { return };
        if let Some(queue) = self.data.queues.get_mut(vcpu.queue as usize) {
            queue.ready.remove(vcpu.slot as usize);
        }
        self.data.reschedule = true;
    }

    /// Looks what other cores have left for vCPUs that may run now: all of the window's, and of
    /// time partition 0 a few at a time, when it is its turn. The rest waits, at no cost to others.
    pub(crate) fn read_inbox(&mut self) {
        if self.shared.cores.len() == 1 {
            return;
        }
        let queue = self.data.window.queue;
        if queue != 0 {
            self.read_inbox_of(queue, u32::MAX);
        }
        if self.data.floor != u32::MAX && !self.read_inbox_of(0, MAILS_AT_ONCE) {
            self.data.urgent = true;
        }
    }

    /// Reads at most `limit` mailboxes of a queue; `false` if some are left.
    fn read_inbox_of(&mut self, queue: u32, limit: u32) -> bool {
        let Some(core) = self.shared.cores.get(self.data.number as usize) else { return true };
        let Some((first, count)) = self.data.queues.get(queue as usize).map(|queue| (queue.first, queue.count)) else {
            return true;
        };
        let mut read = 0;
        for index in first / 64..(first + count).div_ceil(64) {
            let Some(word) = core.inbox.get(index as usize) else { return true };
            let below =
                |end: u32| if end >= index * 64 + 64 { u64::MAX } else { (1u64 << (end.max(index * 64) % 64)) - 1 };
            let mut bits = word.load(SeqCst) & below(first + count) & !below(first);
            while bits != 0 {
                if read == limit {
                    return false;
                }
                let bit = bits & bits.wrapping_neg();
                bits ^= bit;
                word.fetch_and(!bit, SeqCst);
                self.read_mailbox(index * 64 + bit.trailing_zeros());
                read += 1;
            }
        }
        true
    }

    fn read_mailbox(&mut self, local: u32) {
        let Some(number) = self.data.vcpus.get(local as usize).map(|vcpu| vcpu.number) else { return };
        let Some(mailbox) = self.shared.mailboxes.get(number as usize) else { return };
        let requests = mailbox.requests.swap(0, SeqCst);
        if requests & REQUEST_STOP != 0 {
            self.stop_vcpu(local);
            self.close_lines(self.partition_of(local));
            self.stopped_one(local);
        }
        if requests & REQUEST_START != 0 {
            let start = *mailbox.start.lock();
            self.start_vcpu(local, start);
        }
        self.signal_local(local, 0);
    }

    /// Gives the vCPU that runs next what is due to it.
    #[inline]
    pub(crate) fn deliver(&mut self) {
        let Some(current) = self.data.current else { return };
        let Some(vcpu) = self.data.vcpus.get_mut(current as usize) else { return };
        let Some(mailbox) = self.shared.mailboxes.get(vcpu.number as usize) else { return };
        match vcpu.entry {
            Entry::Continue => {}
            Entry::Wake => {
                vcpu.entry = Entry::Continue;
                let events = mailbox.pending.load(Acquire) & vcpu.interest;
                if events != 0 {
                    mailbox.pending.fetch_and(!events, Acquire);
                }
                self.machine.set_result(0, events);
            }
            Entry::Fresh => {
                vcpu.entry = Entry::Continue;
                let (partition, start, number) = (vcpu.partition, vcpu.start, vcpu.number);
                let head = self.head(partition, number);
                self.machine.start(start.entry, start.stack, start.arguments, &head);
                return;
            }
        }
        if vcpu.window_news {
            vcpu.window_news = false;
            self.machine.set_window_start(self.data.window.start);
        }
        let pending = mailbox.pending.load(Acquire);
        if pending & (vcpu.upcall_interest | vcpu.guest_interest) != 0 {
            self.interrupt_current(current, false);
        }
    }

    /// Leaves the guest context of the loaded vCPU: its call returns with the reason.
    pub(crate) fn leave_guest(&mut self, loaded: u32, exit: GuestExit) {
        if let Some(vcpu) = self.vcpu(loaded) {
            vcpu.guest_interest = 0;
        }
        self.machine.leave_guest(exit);
        self.machine.set_result(0, exit as u64);
    }

    /// Enters the upcall handler of the current vCPU, or leaves its guest, if an event of
    /// interest is pending. `keep_frame`: the frame in the page has not been resumed.
    pub(crate) fn interrupt_current(&mut self, current: u32, keep_frame: bool) -> bool {
        let Some(vcpu) = self.data.vcpus.get(current as usize) else { return false };
        let Some(mailbox) = self.shared.mailboxes.get(vcpu.number as usize) else { return false };
        let pending = mailbox.pending.load(Acquire);
        if self.machine.in_guest() {
            if pending & vcpu.guest_interest != 0 {
                self.leave_guest(current, GuestExit::Event);
            }
            return false;
        }
        let events = pending & vcpu.upcall_interest;
        if vcpu.upcall_entry == 0 || events == 0 || (!keep_frame && self.machine.upcalls_masked()) {
            return false;
        }
        mailbox.pending.fetch_and(!events, Acquire);
        let upcall = Upcall {
            entry: vcpu.upcall_entry,
            stack: vcpu.upcall_stack,
            reason: UpcallReason::Events,
            events,
            fault: None,
        };
        self.machine.enter_upcall(&upcall, keep_frame);
        true
    }

    /// The head of a fresh vCPU page. The machine fills in what it knows of the counter.
    fn head(&self, partition: u32, number: u32) -> VcpuHead {
        let state = self.shared.partitions.get(partition as usize);
        let record = self.shared.plan.vcpus().get(number as usize);
        VcpuHead {
            masked: 0,
            reason: 0,
            events: 0,
            error: 0,
            syndrome: 0,
            address: 0,
            window_start: self.data.window.start,
            generation: state.map_or(0, |state| u64::from(state.generation.load(Relaxed))),
            condition: state.map_or(0, |state| u64::from(state.condition.load(Relaxed))),
            mode: state.map_or(0, |state| u64::from(state.mode.load(Relaxed))),
            vcpu: record.map_or(0, |record| u64::from(record.index)),
            counter_frequency: 0,
            counter_zero: 0,
            counter_scale: 0,
        }
    }
}
