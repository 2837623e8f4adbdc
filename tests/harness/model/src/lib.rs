// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What cores share, under a model checker.
//!
//! ```text
//!   kernel/core/src/*.rs ──► compiled here once more, word for word; only `sync` is shuttle's
//!                                 │
//!   core 0 ║ core 1 ║ core 2      │  threads of the checker, a CoreState and a fake machine each
//!     └──── world ─────┘          │  a common clock; kicks that come late or merge
//!                                 ▼
//!   wakeups, restarts, switches, queues: many orders of all accesses to what is shared
//! ```
//! The checker runs one thread at a time and chooses, at every access to an atomic word or a lock,
//! who goes on. So it finds what is wrong with the order of accesses and with what is decided by
//! them. It takes every access for sequentially consistent: that those which have to be are is
//! for readers to see (they say `SeqCst`), not for this test.
//!
//! `PARZELLE_MODEL_RUNS` has the number of orders tried by each test, in place of a few hundred.
#![forbid(unsafe_code)]
#![allow(dead_code, missing_docs)]

#[path = "../../../../kernel/core/src/boot.rs"]
mod boot;
#[path = "../../../../kernel/core/src/call.rs"]
mod call;
#[path = "../../../../kernel/core/src/check.rs"]
mod check;
#[path = "../../../../kernel/core/src/deadlines.rs"]
mod deadlines;
#[path = "../../../../kernel/core/src/events.rs"]
mod events;
#[path = "../../../../kernel/core/src/health.rs"]
mod health;
#[path = "../../../../kernel/core/src/kernel.rs"]
mod kernel;
#[path = "../../../../kernel/core/src/life.rs"]
mod life;
#[path = "../../../../kernel/core/src/lifecycle.rs"]
mod lifecycle;
#[path = "../../../../kernel/core/src/machine.rs"]
pub mod machine;
#[path = "../../../../kernel/core/src/memory.rs"]
mod memory;
#[path = "../../../../kernel/core/src/partition.rs"]
mod partition;
#[path = "../../../../kernel/core/src/port.rs"]
mod port;
#[path = "../../../../kernel/core/src/ready.rs"]
mod ready;
#[path = "../../../../kernel/core/src/schedule.rs"]
mod schedule;
mod sync;
#[cfg(test)]
#[path = "../../../../kernel/core/src/tests/system.rs"]
mod system;
#[path = "../../../../kernel/core/src/trace.rs"]
mod trace;
#[path = "../../../../kernel/core/src/vcpu.rs"]
mod vcpu;

#[cfg(test)]
mod queues;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod switches;
#[cfg(test)]
mod wakeups;
#[cfg(test)]
mod world;

pub use boot::{Booted, Refusal, boot};
pub use check::check;
pub use kernel::{CoreData, CoreState, Shared};
