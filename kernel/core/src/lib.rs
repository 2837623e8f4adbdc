// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the kernel decides, in safe Rust.
//!
//! ```text
//!              machine (trait): registers, spaces, timer, interrupt controller
//!                 ▲                                      │ on_call, on_fault, on_line, on_timer …
//!   ┌─────────────┴──────────────────────────────────────▼─────────────────────────┐
//!   │ kernel     a core's state, its entry points                                  │
//!   │ schedule   windows, who runs      events     raising, waking, upcalls        │
//!   │ lifecycle  start, stop, restart   life, health  from error to action         │
//!   │ port       sampling, queuing      call       the kernel calls                │
//!   │ vcpu, partition, ready, deadlines, trace: the objects; sync: what they share │
//!   └──────────────────────────────────────────────────────────────────────────────┘
//!                 ▲
//!   boot, check: from the plan to objects
//! ```
//! There is no `unsafe`, no heap and no architecture in here, so all of it is tested on the host,
//! on `machine::fake`.
#![cfg_attr(not(any(test, feature = "fake")), no_std)]
#![forbid(unsafe_code)]

mod boot;
mod call;
mod check;
mod deadlines;
mod events;
mod health;
mod kernel;
mod life;
mod lifecycle;
pub mod machine;
mod memory;
mod partition;
mod port;
mod ready;
mod schedule;
mod sync;
#[cfg(test)]
mod tests;
mod trace;
mod vcpu;

pub use boot::{Booted, Refusal, boot};
pub use check::check;
pub use kernel::{CoreData, CoreState, Shared};
