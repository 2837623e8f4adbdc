// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A port: one word, so that it changes in one step.
//!
//! ```text
//!   63          32 31      16 15    8 7      4    3     2    0
//!  │ detail       │ domain   │ vCPU  │priority│latched│ kind  │
//! ```
//! `detail`: which virtual interrupt, or which end of the shim. `latched`: raised while there was
//! no event word for it yet (FIFO).

use core::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use crate::abi::event::fifo::DEFAULT_PRIORITY;

/// What a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Free,
    /// Made for another domain, which has not connected.
    Unbound,
    /// Connected to the shim's end of this number.
    Backend(u32),
    /// A virtual interrupt.
    Virq(u32),
    /// A way between vCPUs.
    Ipi,
}

/// What there is to know of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) kind: Kind,
    /// Who is told.
    pub(super) vcpu: u8,
    /// The queue it goes to (FIFO).
    pub(super) priority: u8,
    /// The other domain.
    pub(super) domain: u16,
    /// Raised before it had an event word.
    pub(super) latched: bool,
}

impl State {
    pub(super) const FREE: Self =
        Self { kind: Kind::Free, vcpu: 0, priority: DEFAULT_PRIORITY, domain: 0, latched: false };

    fn encode(self) -> u64 {
        let (kind, detail) = match self.kind {
            Kind::Free => return 0,
            Kind::Unbound => (1, 0),
            Kind::Backend(end) => (2, end),
            Kind::Virq(virq) => (3, virq),
            Kind::Ipi => (4, 0),
        };
        kind | u64::from(self.latched) << 3
            | u64::from(self.priority & 15) << 4
            | u64::from(self.vcpu) << 8
            | u64::from(self.domain) << 16
            | u64::from(detail) << 32
    }

    fn decode(word: u64) -> Self {
        let detail = (word >> 32) as u32;
        let kind = match word & 7 {
            1 => Kind::Unbound,
            2 => Kind::Backend(detail),
            3 => Kind::Virq(detail),
            4 => Kind::Ipi,
            _ => return Self::FREE,
        };
        Self {
            kind,
            vcpu: (word >> 8) as u8,
            priority: (word >> 4) as u8 & 15,
            domain: (word >> 16) as u16,
            latched: word & 8 != 0,
        }
    }
}

/// A port of a guest.
#[derive(Debug, Default)]
pub struct Port {
    state: AtomicU64,
    /// The queue in which it was linked last, plus 1 (FIFO; under that lock).
    pub(super) queue: AtomicU16,
}

impl Port {
    /// A closed one.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: AtomicU64::new(0), queue: AtomicU16::new(0) }
    }

    pub(super) fn load(&self) -> State {
        State::decode(self.state.load(Ordering::Acquire))
    }

    /// Takes it if it is closed.
    pub(super) fn claim(&self, state: State) -> bool {
        self.state.compare_exchange(0, state.encode(), Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Changes it in one step; `None` leaves it. Returns what it was if it changed.
    pub(super) fn update(&self, change: impl Fn(State) -> Option<State>) -> Option<State> {
        let step = |word| Some(change(State::decode(word))?.encode());
        self.state.fetch_update(Ordering::SeqCst, Ordering::Acquire, step).ok().map(State::decode)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_state_survives_its_word(kind in 1u8..5, vcpu: u8, priority in 0u8..16, domain: u16, latched: bool, detail: u32) {
            let kind = match kind {
                1 => Kind::Unbound,
                2 => Kind::Backend(detail),
                3 => Kind::Virq(detail),
                _ => Kind::Ipi,
            };
            let state = State { kind, vcpu, priority, domain, latched };
            prop_assert_eq!(State::decode(state.encode()), state);
        }
    }
}
