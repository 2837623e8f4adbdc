// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Virtual disks.
//!
//! ```text
//!   client's area: requests  { id, operation, sector, bytes, offset } × 64 │ data of writes
//!   server's area: responses { id, status }                           × 64 │ data of reads
//! ```
//! The client chooses where data lie, in both areas: `offset` counts from the begin of the client's
//! area for a write and of the server's for a read, so that the server's device moves them straight
//! from or to the area. Sectors have 512 bytes, whatever the disk's blocks are.
//!
//! A request that breaks the rules (a range outside of the disk or of the area, an id in flight, a
//! write to a disk that may only be read) is answered by the server's half; the driver doesn't see
//! it.
//!
//! Restarts: the client keeps what is not answered, and sends it again to a server that has started
//! anew; requests are idempotent. A server lets a client that has started anew in only when all
//! requests of the old one are completed: so no device writes into slots that are in use again.
//!
//! Requests in flight at the same time have no order among themselves. A flush covers the writes
//! that were completed before it was sent.

mod client;
mod server;
mod slots;
mod wire;

pub use client::{Client, Completion, Write};
pub use server::{Request, Server};
pub use wire::{Geometry, MAX_BYTES, Operation, REQUESTS, SECTOR, SLOT, Status};
