// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Time as a guest sees it.
//!
//! ```text
//!   system time   ns since the guest's machine was started      scale, clock (vcpu_time_info)
//!   wall clock    system time + when that was                   clock (shared_info)
//!   timers        one-shot, at a system time                    timer
//!   run states    where a vCPU's time went                      runstate
//! ```
//!
//! The guest computes system time from the processor's counter alone, with what [`Clock`] wrote
//! once: no call, no trap. Who writes it once and never again can say that the counter is stable.

mod clock;
mod runstate;
mod scale;
mod timer;

pub use clock::{Clock, write_wall_clock};
pub use runstate::{RunState, RunStates};
pub use scale::Scale;
pub use timer::{Timer, deadline_of_set_timer};
