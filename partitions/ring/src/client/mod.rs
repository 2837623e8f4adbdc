// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Clients for programs that just want to use something: they ring and wait by themselves.
//!
//! ```text
//!   feature            what it is                      implements
//!   (always)           Disk: reads, writes, flushes
//!   embedded-sdmmc     Blocks, over a Disk             embedded_sdmmc::BlockDevice
//!   embedded-io        Terminal, over a console        embedded_io::{Read, Write, …Ready}
//!   smoltcp            Device, over a network port     smoltcp::phy::Device (this one doesn't wait)
//! ```

mod disk;
#[cfg(feature = "smoltcp")]
mod network;
#[cfg(feature = "embedded-sdmmc")]
mod sdmmc;
#[cfg(feature = "embedded-io")]
mod terminal;

pub use disk::Disk;
#[cfg(feature = "smoltcp")]
pub use network::Device;
#[cfg(feature = "embedded-sdmmc")]
pub use sdmmc::Blocks;
#[cfg(feature = "embedded-io")]
pub use terminal::Terminal;

/// The two doorbells of a link: how the peer is woken, and how one sleeps until it rings.
pub trait Doorbells {
    /// Wakes the peer.
    fn ring(&self);

    /// Sleeps until the peer rings; at once awake if it has rung since the last time. May be awake
    /// too early.
    fn wait(&self);
}

#[cfg(feature = "rt")]
impl Doorbells for parzelle_rt::Link {
    fn ring(&self) {
        parzelle_rt::Link::ring(self);
    }

    fn wait(&self) {
        parzelle_rt::wait(parzelle_abi::NEVER, self.event());
    }
}
