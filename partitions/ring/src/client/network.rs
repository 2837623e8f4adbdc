// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A network port for `smoltcp`.
//!
//! The stack sees copies only: the peer can change a frame in its area at any time, and a stack that
//! checks a length and then loads it again would be lost.

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use super::Doorbells;
use crate::Memory;
use crate::network::{MAX_FRAME, Parameters, Port};

/// Bytes of an Ethernet header: `smoltcp` counts it with the MTU.
const HEADER: usize = 14;

/// A port. It doesn't wait in operations, as the stack polls it; a program's loop is
/// `poll` – [`Device::settle`] – wait.
#[derive(Debug)]
pub struct Device<M, B> {
    port: Port<M>,
    bells: B,
    parameters: Parameters,
    received: Buffer,
    sent: Buffer,
}

/// A frame, aligned as in its slot: copies are faster so.
#[derive(Debug)]
#[repr(align(16))]
struct Buffer([u8; MAX_FRAME as usize]);

impl<M: Memory, B: Doorbells> Device<M, B> {
    /// Takes a client's port and waits until the server is there.
    pub fn new(mut port: Port<M>, bells: B) -> Self {
        loop {
            if let Some(parameters) = port.parameters() {
                let buffer = || Buffer([0; MAX_FRAME as usize]);
                return Self { port, bells, parameters, received: buffer(), sent: buffer() };
            }
            if port.notify() {
                bells.ring();
            }
            if port.may_sleep() {
                bells.wait();
            }
        }
    }

    /// The address that the server gave us.
    pub fn mac(&self) -> [u8; 6] {
        self.parameters.mac
    }

    /// The port.
    pub fn port(&self) -> &Port<M> {
        &self.port
    }

    /// Wakes the server if need be. Whether nothing comes before its bell rings: then the caller may
    /// wait for that, or for the stack's next deadline.
    pub fn settle(&mut self) -> bool {
        if self.port.notify() {
            self.bells.ring();
        }
        self.port.may_sleep()
    }
}

impl<M: Memory, B: Doorbells> phy::Device for Device<M, B> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sender<'a, M>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_, M>)> {
        // The stack answers into the second token: a frame is taken only if that has room.
        self.port.peek()?;
        self.port.reserve().ok()?;
        let (length, _) = self.port.receive(&mut self.received.0)?;
        let sender = Sender { port: &mut self.port, buffer: &mut self.sent.0 };
        Some((Received(self.received.0.get(..length)?), sender))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_, M>> {
        self.port.reserve().ok()?;
        Some(Sender { port: &mut self.port, buffer: &mut self.sent.0 })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.parameters.mtu as usize + HEADER;
        capabilities
    }
}

/// A frame that has come: a copy.
#[derive(Debug)]
pub struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// Room for a frame.
#[derive(Debug)]
pub struct Sender<'a, M> {
    port: &'a mut Port<M>,
    buffer: &'a mut [u8],
}

impl<M: Memory> phy::TxToken for Sender<'_, M> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        // The stack keeps to the MTU, which leaves room.
        let frame = self.buffer.get_mut(..length).unwrap_or_default();
        let result = fill(frame);
        // A peer that has gone meanwhile: the frame is lost, as frames are.
        let _ = self.port.send(frame, 0);
        result
    }
}
