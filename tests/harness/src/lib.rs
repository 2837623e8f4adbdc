// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Runs systems in QEMU and judges them.
//!
//! ```text
//!   system.toml ──▶ parzelle build ──▶ image ─┐
//!                                             ▼
//!   expect.toml ──▶ Expectation ──▶ Options ─▶ qemu::run ──▶ Run (console, ending)
//!                        │                                    │
//!                        └────────────▶ judge ◀───────────────┘
//!                                         │
//!                                         ▼
//!                                   list of faults
//! ```
//!
//! A run is bounded by wall time, ends only the process that it started itself, and is exact to the
//! instruction when counting (`icount`) is on: then virtual time *is* the number of instructions
//! executed, one nanosecond each, and two runs print the same bytes.
//!
//! What programs tell the tools stands on lines with `##` and one JSON object, see [`console`].

pub mod ask;
pub mod board;
pub mod console;
pub mod devices;
pub mod expect;
pub mod judge;
pub mod native;
pub mod paths;
pub mod qemu;

pub use ask::Ask;
pub use board::Board;
pub use console::Transcript;
pub use devices::Forward;
pub use expect::Expectation;
pub use native::Native;
pub use qemu::{Ending, Options, Run};
