// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Links: our ends of disks and networks, as clients and as the one who serves them.
//!
//! Two areas of shared memory, each written by one side, and a doorbell each way. What is spoken
//! over them is the business of `parzelle-ring`.

use parzelle_abi::info::{LinkInfo, Protocol};

use crate::device::Doorbell;
use crate::error::Error;
use crate::mem::Volatile;
use crate::partition::Partition;

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub struct Link(&'static LinkInfo);

impl Link {
    /// All that the tool tells about it.
    pub fn info(&self) -> &'static LinkInfo {
        self.0
    }

    /// The client's name for it (`xvda`, `eth0`), the same at both ends.
    pub fn name(&self) -> &'static str {
        self.0.name.as_str()
    }

    /// The partition at the other end.
    pub fn peer(&self) -> &'static str {
        self.0.peer.as_str()
    }

    /// What is spoken; `None` if this program is older than that.
    pub fn protocol(&self) -> Option<Protocol> {
        Protocol::from_number(u64::from(self.0.protocol))
    }

    /// Whether this end serves.
    pub fn serves(&self) -> bool {
        self.0.serves != 0
    }

    /// The area that we write.
    pub fn out(&self) -> Volatile {
        self.area(self.0.out, self.0.out_bytes)
    }

    /// The area that the peer writes. It is mapped read-only: a store there is a memory violation.
    pub fn incoming(&self) -> Volatile {
        self.area(self.0.incoming, self.0.incoming_bytes)
    }

    /// An area of this link.
    fn area(&self, address: u64, bytes: u64) -> Volatile {
        if !Partition::get().links().as_ptr_range().contains(&core::ptr::from_ref(self.0)) {
            return Volatile::EMPTY;
        }
        // SAFETY: the link stands in the information pages, so the tool has mapped both areas,
        // for as long as the partition runs, and gives them to no program segment; they hold
        // integers only.
        unsafe { Volatile::new(address, bytes) }
    }

    /// The doorbell that the peer hears.
    pub fn doorbell(&self) -> Option<Doorbell> {
        Doorbell::of_number(self.0.bell)
    }

    /// Rings it.
    #[inline]
    pub fn ring(&self) {
        if let Some(bell) = self.doorbell() {
            // It is one of ours: the kernel has no reason to refuse.
            let _ = bell.ring();
        }
    }

    /// The event, as a mask, that the peer's doorbell raises here.
    pub fn event(&self) -> u64 {
        1u64.checked_shl(self.0.event).unwrap_or(0)
    }
}

impl Partition {
    /// Our client's end of the link of that name.
    ///
    /// # Errors
    /// [`Error::NoLink`] if the description gives no disk or network port of that name.
    pub fn link(&self, name: &str) -> Result<Link, Error> {
        let mut clients = self.ends(false);
        clients.find(|link| link.name() == name).ok_or_else(|| Error::no_link(name))
    }

    /// Our clients' ends of links.
    pub fn links_used(&self) -> impl Iterator<Item = Link> + use<> {
        self.ends(false)
    }

    /// The ends of links that we serve.
    pub fn links_served(&self) -> impl Iterator<Item = Link> + use<> {
        self.ends(true)
    }

    /// The ends on one side.
    fn ends(&self, serves: bool) -> impl Iterator<Item = Link> + use<> {
        self.links().iter().map(Link).filter(move |link| link.serves() == serves)
    }
}
