// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console: two rings in a page of the guest, and a port (`io/console.h`).
//!
//! ```text
//!   guest ── out[2048] ──▶ host console          prod, cons count on and on; the place is the
//!   guest ◀── in[1024] ─── host input            count modulo the ring's size
//! ```
//! Each side has one count of each ring. Ours are kept here and only told to the guest; the guest's
//! are read once each time, and one that makes no sense (more than the ring holds) loses text.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use spin::mutex::SpinMutex;
use spin::relax::RelaxStrategy;

use super::Host;
use crate::abi::Errno;
use crate::abi::console::{IN, OUT, at};
use crate::events::{Events, VcpuSet};
use crate::memory::Page;

/// The shim's end of the console's port, by its number.
pub(super) const END: u32 = 0;
/// The domain of the console's other side, as guests expect it.
const DOMAIN: u16 = 0;
/// Bytes that are copied at once.
const CHUNK: usize = 128;

/// The console of a domain.
#[derive(Debug)]
pub(super) struct Console<P, R> {
    page: Option<P>,
    /// 0: there is none, or the guest has left it.
    port: AtomicU32,
    /// Input may be waiting.
    input: AtomicBool,
    counts: SpinMutex<Counts, R>,
}

/// Our counts.
#[derive(Debug, Default)]
struct Counts {
    in_prod: u32,
    out_cons: u32,
}

impl<P: Page, R: RelaxStrategy> Console<P, R> {
    /// Connects the console, if there is one. Input may be waiting from the start.
    pub(super) fn new(page: Option<P>, events: &Events<'_, P, R>) -> Result<Self, Errno> {
        let port = if page.is_some() { events.connected(DOMAIN, END)? } else { 0 };
        Ok(Self {
            page,
            port: AtomicU32::new(port),
            input: AtomicBool::new(true),
            counts: SpinMutex::new(Counts { in_prod: 0, out_cons: 0 }),
        })
    }

    pub(super) fn port(&self) -> Option<u32> {
        Some(self.port.load(Ordering::Acquire)).filter(|port| *port != 0)
    }

    /// The guest has closed the port.
    pub(super) fn left(&self) {
        self.port.store(0, Ordering::Release);
    }

    /// There is input.
    pub(super) fn input_arrived(&self) {
        self.input.store(true, Ordering::Release);
    }

    /// Prints what the guest has written. Tells who is to be kicked.
    pub(super) fn output(&self, events: &Events<'_, P, R>, host: &impl Host) -> VcpuSet {
        let (Some(page), Some(port)) = (&self.page, self.port()) else { return VcpuSet::NONE };
        let mut counts = self.counts.lock();
        let from = counts.out_cons;
        let to = page.load32(at::OUT_PROD);
        let length = to.wrapping_sub(from);
        if length as usize <= OUT {
            let mut text = [0; CHUNK];
            let mut next = from;
            while next != to {
                let part = text.get_mut(..CHUNK.min(to.wrapping_sub(next) as usize)).unwrap_or_default();
                for byte in part.iter_mut() {
                    *byte = page.load8(at::OUT + next as usize % OUT);
                    next = next.wrapping_add(1);
                }
                host.console_out(part);
            }
        }
        counts.out_cons = to;
        page.store32(at::OUT_CONS, to);
        drop(counts);
        // Who finds room always does not wait for it: Linux asks again.
        if length as usize >= OUT { events.raise(port) } else { VcpuSet::NONE }
    }

    /// Hands the guest input, if there is some and it has room. Tells who is to be kicked.
    #[inline]
    pub(super) fn input(&self, events: &Events<'_, P, R>, host: &impl Host) -> VcpuSet {
        if self.input.load(Ordering::Acquire) { self.hand_over(events, host) } else { VcpuSet::NONE }
    }

    fn hand_over(&self, events: &Events<'_, P, R>, host: &impl Host) -> VcpuSet {
        let (Some(page), Some(port)) = (&self.page, self.port()) else { return VcpuSet::NONE };
        let mut counts = self.counts.lock();
        // Before the look: what arrives later sets it again.
        self.input.store(false, Ordering::SeqCst);
        let taken = counts.in_prod.wrapping_sub(page.load32(at::IN_CONS)) as usize;
        let room = IN.saturating_sub(taken);
        let mut next = counts.in_prod;
        let mut left = room;
        let mut more = true;
        let mut text = [0; CHUNK];
        while more && left > 0 {
            let part = text.get_mut(..CHUNK.min(left)).unwrap_or_default();
            let wanted = part.len();
            let got = host.console_in(part).min(wanted);
            more = got == wanted;
            left -= got;
            for byte in part.iter().take(got) {
                page.store8(at::IN + next as usize % IN, *byte);
                next = next.wrapping_add(1);
            }
        }
        if more {
            // The rest has to wait until the guest has read, which it tells by a signal.
            self.input.store(true, Ordering::Release);
        }
        if next == counts.in_prod {
            return VcpuSet::NONE;
        }
        counts.in_prod = next;
        page.store32(at::IN_PROD, next);
        drop(counts);
        events.raise(port)
    }
}
