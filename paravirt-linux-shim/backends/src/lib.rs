// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a guest's devices are connected to, the same for all shims: a UART of a virtual board and a
//! ring of a paravirtualised guest end in the same console. And the lock that their vCPUs share it by.
//!
//! ```text
//!   guest's device ──▶ Output ──▶ log ring   ──▶ console partition
//!   guest's device ◀── Input  ◀── input ring ◀──
//!   guest's disk   ◀─▶ LinkDisk ◀─▶ link     ◀─▶ block driver
//!   guest's port   ◀─▶ LinkPort ◀─▶ link     ◀─▶ switch
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub mod devices;
pub mod disk;
pub mod input;
pub mod lock;
pub mod output;
pub mod port;
pub mod relax;

pub use devices::Devices;
pub use disk::LinkDisk;
pub use input::Input;
pub use lock::Lock;
pub use output::Output;
pub use port::LinkPort;
pub use relax::GiveWay;
