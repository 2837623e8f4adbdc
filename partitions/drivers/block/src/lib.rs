// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The logic of the block driver partition: from the requests of many clients to one device.
//!
//! ```text
//!   debian.xvda ──┐   checked against      in turns, a fair share
//!   recorder    ──┼─► the client's range ─► of the device's slots ─► device
//!   backup (ro) ──┘   and rights            and of its bytes
//! ```
//! | module | what it does |
//! |---|---|
//! | [`disk`] | a virtual disk: a range of the device, and who may do what with it |
//! | [`gpt`] | finds the ranges of named partitions; both tables are checked |
//! | [`device`], [`link`] | the two sides as traits, so that all of this runs on a host |
//! | [`server`] | turns, requests in flight, flushes, clients that come, go and lie |
//!
//! Data never passes through this partition's program: the device reads and writes the areas of the
//! links themselves.
#![no_std]
#![forbid(unsafe_code)]

pub mod device;
pub mod disk;
pub mod gpt;
pub mod link;
pub mod server;

pub use device::{Command, Device};
pub use disk::{Disk, SECTOR, Table};
pub use link::{Bell, Link, Served};
pub use server::Server;
