// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A network port as smoltcp wants it. Frames are copied out before the stack looks at them: the peer
//! could still change them.

use parzelle_ring::network::Port;
use parzelle_rt::abi::NEVER;
use parzelle_rt::{Link, Volatile, wait};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// The largest frame.
const FRAME: usize = 1514;

/// A port and its bell.
pub(crate) struct Device {
    link: Link,
    port: Port<Volatile>,
}

impl Device {
    /// Takes a port.
    pub(crate) fn new(link: Link, port: Port<Volatile>) -> Self {
        Self { link, port }
    }

    /// Waits until the switch is there, and says which address it gives us.
    pub(crate) fn mac(&mut self) -> [u8; 6] {
        loop {
            if let Some(parameters) = self.port.parameters() {
                return parameters.mac;
            }
            self.notify();
            if self.may_sleep() {
                wait(NEVER, self.event());
            }
        }
    }

    /// Wakes the switch, if it waits for what was done.
    pub(crate) fn notify(&mut self) {
        if self.port.notify() {
            self.link.ring();
        }
    }

    /// Whether nothing comes before the switch rings.
    pub(crate) fn may_sleep(&mut self) -> bool {
        self.port.may_sleep()
    }

    /// The event of the switch's bell.
    pub(crate) fn event(&self) -> u64 {
        self.link.event()
    }
}

impl phy::Device for Device {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sender<'_>)> {
        let mut frame = [0; FRAME];
        let (length, _) = self.port.receive(&mut frame)?;
        Some((Received { frame, length }, Sender(&mut self.port)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        (self.port.room() > 0).then_some(Sender(&mut self.port))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// A frame that came.
pub(crate) struct Received {
    frame: [u8; FRAME],
    length: usize,
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.frame.get(..self.length).unwrap_or_default())
    }
}

/// Where a frame can go.
pub(crate) struct Sender<'a>(&'a mut Port<Volatile>);

impl phy::TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = [0; FRAME];
        let frame = frame.get_mut(..length).unwrap_or_default();
        let result = f(frame);
        // Without room it is lost, as frames are.
        let _ = self.0.send(frame, 0);
        result
    }
}
