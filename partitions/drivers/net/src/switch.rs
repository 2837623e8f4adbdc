// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where a frame goes. Nothing is learnt: the plan says which address is behind which port, and
//! whatever is unknown is outside.
//!
//! | from | to its group's | goes to |
//! |---|---|---|
//! | a port | port by address | that port |
//! | a port | everybody (limited) | the other ports of its group, and the uplink |
//! | a port | unknown address | the uplink |
//! | the uplink, by its VLAN | port by address | that port |
//! | the uplink, by its VLAN | everybody (limited) | all ports of the group |
//! | the uplink | unknown address | nowhere |
//!
//! A port sends only from its own address (in ARP packets, too) and without tags; from outside
//! nobody comes with an address of ours.

use crate::frame::{Head, LARGEST, Mac, TAG};
use crate::limit::Limit;

/// The most ports: as many as a partition has events.
pub const PORTS: usize = 64;

/// What the plan says of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its address.
    pub mac: Mac,
    /// Its network: ports of different ones never reach each other.
    pub group: u32,
    /// The VLAN of its network on the uplink, 0 for untagged; `None` if there is no way out.
    pub uplink: Option<u16>,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// One bit per port.
    pub ports: u64,
    /// The VLAN on the uplink, 0 for untagged.
    pub uplink: Option<u16>,
    /// A tag comes off first.
    pub strip: bool,
}

/// Why a frame goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is no frame: too short or too long.
    Malformed,
    /// It has a source that its sender has not.
    Spoofed,
    /// It has a tag that its sender must not use, or one that no network has.
    Tagged,
    /// Too many to everybody.
    Limited,
    /// Nobody is there for it.
    Unknown,
}

/// The ports and their rules.
#[derive(Debug)]
pub struct Switch {
    ports: heapless::Vec<(Plan, Limit), PORTS>,
    outside: Limit,
}

impl Switch {
    /// A switch whose uplink may bring so many frames to everybody.
    pub fn new(outside: Limit) -> Self {
        Self { ports: heapless::Vec::new(), outside }
    }

    /// Adds a port; returns its number. `None` when there are too many, or when it has no address
    /// of a station, or one that its network has already.
    pub fn add(&mut self, plan: Plan, limit: Limit) -> Option<usize> {
        let taken = self.ports.iter().any(|(other, _)| other.group == plan.group && other.mac == plan.mac);
        if taken || plan.mac.is_group() || plan.mac == Mac([0; 6]) {
            return None;
        }
        self.ports.push((plan, limit)).ok()?;
        Some(self.ports.len() - 1)
    }

    /// What the plan says of a port.
    pub fn plan(&self, port: usize) -> Option<Plan> {
        self.ports.get(port).map(|(plan, _)| *plan)
    }

    /// Where a frame of a port goes.
    ///
    /// # Errors
    /// Why it goes nowhere.
    pub fn from_port(&mut self, port: usize, frame: &[u8], now: u64) -> Result<Targets, Loss> {
        let head = Head::read(frame).filter(|_| frame.len() <= LARGEST).ok_or(Loss::Malformed)?;
        let (plan, limit) = self.ports.get_mut(port).ok_or(Loss::Unknown)?;
        let plan = *plan;
        if head.source != plan.mac || head.arp_sender.is_some_and(|sender| sender != plan.mac) {
            return Err(Loss::Spoofed);
        }
        if head.vlan.is_some() || head.is_tagged_inside {
            return Err(Loss::Tagged);
        }
        if head.destination.is_reserved() {
            return Err(Loss::Unknown);
        }
        if head.destination.is_group() {
            if !limit.pass(now) {
                return Err(Loss::Limited);
            }
            let ports = self.members(plan.group) & !(1 << port);
            return Ok(Targets { ports, uplink: plan.uplink, strip: false });
        }
        match self.station(plan.group, head.destination) {
            Some(own) if own == port => Err(Loss::Unknown),
            Some(other) => Ok(Targets { ports: 1 << other, ..Targets::default() }),
            None if plan.uplink.is_some() => Ok(Targets { uplink: plan.uplink, ..Targets::default() }),
            None => Err(Loss::Unknown),
        }
    }

    /// Where a frame that came from outside goes.
    ///
    /// # Errors
    /// Why it goes nowhere.
    pub fn from_uplink(&mut self, frame: &[u8], now: u64) -> Result<Targets, Loss> {
        let head = Head::read(frame).ok_or(Loss::Malformed)?;
        let strip = head.vlan.is_some();
        if frame.len() > LARGEST + if strip { TAG } else { 0 } {
            return Err(Loss::Malformed);
        }
        if head.is_tagged_inside {
            return Err(Loss::Tagged);
        }
        // A tag with VLAN 0 carries a priority only (802.1Q, 9.6).
        let vlan = head.vlan.unwrap_or(0);
        let of_vlan = |(plan, _): &&(Plan, Limit)| plan.uplink == Some(vlan);
        let group = self.ports.iter().find(of_vlan).ok_or(Loss::Tagged)?.0.group;
        let is_ours = |mac| self.station(group, mac).is_some();
        if head.source.is_group() || is_ours(head.source) || head.arp_sender.is_some_and(is_ours) {
            return Err(Loss::Spoofed);
        }
        if head.destination.is_reserved() {
            return Err(Loss::Unknown);
        }
        if head.destination.is_group() {
            if !self.outside.pass(now) {
                return Err(Loss::Limited);
            }
            return Ok(Targets { ports: self.members(group), uplink: None, strip });
        }
        let port = self.station(group, head.destination).ok_or(Loss::Unknown)?;
        Ok(Targets { ports: 1 << port, uplink: None, strip })
    }

    /// The ports of a group, one bit each.
    fn members(&self, group: u32) -> u64 {
        let all = self.ports.iter().enumerate().filter(|(_, (plan, _))| plan.group == group);
        all.fold(0, |bits, (index, _)| bits | 1 << index)
    }

    /// The port of a group with that address.
    fn station(&self, group: u32, mac: Mac) -> Option<usize> {
        self.ports.iter().position(|(plan, _)| plan.group == group && plan.mac == mac)
    }
}

#[cfg(test)]
mod tests;
