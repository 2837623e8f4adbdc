// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a guest's devices are connected to, the same for all shims: a UART of a virtual board and a
//! ring of a paravirtualised guest end in the same console. And the lock that their vCPUs share it by.
//!
//! ```text
//!   guest's device ──▶ Output ──▶ log ring   ──▶ console partition
//!   guest's device ◀── Input  ◀── input ring ◀──
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub mod input;
pub mod lock;
pub mod output;
pub mod relax;

pub use input::Input;
pub use lock::Lock;
pub use output::Output;
pub use relax::GiveWay;
