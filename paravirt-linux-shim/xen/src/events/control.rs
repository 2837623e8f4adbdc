// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Going over to queues: `init_control`, `expand_array`, `set_priority`.

use spin::relax::RelaxStrategy;

use super::Events;
use super::port::State;
use super::vcpu::VcpuSet;
use crate::abi::event::ControlBlock;
use crate::abi::event::fifo::{QUEUES, WORDS_PER_PAGE};
use crate::abi::{Errno, PAGE};
use crate::memory::Page;

impl<P: Page, R: RelaxStrategy> Events<'_, P, R> {
    /// Says where a vCPU's queues are; from the first call on, the guest uses queues.
    ///
    /// # Errors
    /// [`Errno::NoEntry`]: no such vCPU. [`Errno::Invalid`]: the block does not fit the page, or it
    /// has one already.
    pub fn init_control(&self, vcpu: u32, page: P, offset: u32) -> Result<(), Errno> {
        let state = self.vcpu(vcpu)?;
        let at = offset as usize;
        if at > PAGE as usize - size_of::<ControlBlock>() || !at.is_multiple_of(8) || state.control.is_completed() {
            return Err(Errno::Invalid);
        }
        let mut mine = false;
        state.control.call_once(|| {
            mine = true;
            (page, at)
        });
        if !mine {
            return Err(Errno::Invalid);
        }
        // Whatever is raised from now on waits in its port for an event word; so does what was
        // pending in the bitmaps.
        if self.fifo.enable() {
            for (port, entry) in (0u32..).zip(self.ports).skip(1) {
                if self.clear_two_level(port) {
                    entry.update(latch);
                }
            }
        }
        Ok(())
    }

    /// Adds a page of event words: the next 1024 ports. Returns who is told of what had to wait for
    /// it.
    ///
    /// # Errors
    /// [`Errno::NoSystem`]: the guest does not use queues. [`Errno::NoSpace`]: there are no ports
    /// for more words.
    pub fn expand_array(&self, page: P) -> Result<VcpuSet, Errno> {
        let index = self.fifo.expand(page, self.ports.len())?;
        let first = index * WORDS_PER_PAGE;
        let ports = (0u32..).zip(self.ports).skip(first.max(1)).take(WORDS_PER_PAGE);
        Ok(ports.fold(VcpuSet::NONE, |set, (port, entry)| {
            match entry.update(|state| state.latched.then_some(State { latched: false, ..state })) {
                Some(_) => set.with(self.raise(port)),
                None => set,
            }
        }))
    }

    /// Chooses the queue of a port: 0 is the most urgent.
    ///
    /// # Errors
    /// [`Errno::NoSystem`]: the guest does not use queues. [`Errno::Invalid`]: no such port, no
    /// such queue.
    pub fn set_priority(&self, port: u32, priority: u32) -> Result<(), Errno> {
        if !self.fifo.is_enabled() {
            return Err(Errno::NoSystem);
        }
        if priority as usize >= QUEUES {
            return Err(Errno::Invalid);
        }
        self.port(port)?.update(|state| Some(State { priority: priority as u8, ..state }));
        Ok(())
    }
}

/// Keeps an event in its port until there is a word for it; not in a closed one.
pub(super) fn latch(state: State) -> Option<State> {
    (state.kind != super::Kind::Free).then_some(State { latched: true, ..state })
}
