// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The logic of the network driver partition: a switch of which the plan says all there is to know.
//!
//! ```text
//!   debian.eth0 ──┐  its own source address   the port of that address in the
//!   telemetry   ──┼─► only, no tags,        ─► same network, or all of them;
//!   camera      ──┘  broadcasts limited        else the uplink, tagged ──► card
//! ```
//! | module | what it does |
//! |---|---|
//! | [`frame`] | Ethernet headers and VLAN tags |
//! | [`limit`] | how many broadcasts a port may send |
//! | [`switch`] | where a frame goes: the whole policy, without any I/O |
//! | [`link`] | the ring of a client as a port |
//! | [`server`] | turns over ports and uplink, copies, counters, clients that come, go and lie |
//!
//! Frames are copied once out of a client's area before they are looked at: what is checked is what
//! is sent, whatever the client writes meanwhile. (Hence the card doesn't read the areas itself.)
#![no_std]
#![forbid(unsafe_code)]

pub mod frame;
pub mod limit;
pub mod link;
pub mod server;
pub mod switch;

pub use frame::Mac;
pub use link::{Bell, Linked};
pub use server::{NoUplink, Port, Server, Uplink};
pub use switch::{Loss, Plan, Switch};
