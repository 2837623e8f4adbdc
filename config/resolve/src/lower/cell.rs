// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What one partition is going to be: its spaces and its objects, still without physical
//! addresses.
//!
//! ```text
//!   0x0001_0000  information pages         R   image
//!   0x0008_0000  vCPU pages                RW  memory
//!   0x0010_0000  loader                    RX  image
//!   0x0040_0000  program: text, constants  RX R image     (wherever the ELF file says)
//!                data, retained, heap      RW  memory
//!   0x8000_0000  stacks (a hole below each), pristine data, shared memory, rings, devices …
//!   1 << 32      guest memory
//! ```
//! In a guest partition on x86-64 all this lies `SHIM` higher: the lower addresses are the guest's.

use std::collections::BTreeSet;

use parzelle_abi::PAGE;
use parzelle_abi::event;
use parzelle_abi::info::{LinkInfo, LoadSegment, ObjectInfo, ObjectKind, layout};
use parzelle_plan::{AccessRecord, DMA, PortRecord, SPACE_GUEST, SPACE_HOST, SetupRecord};

use super::blocks::{BlockId, LARGE};
use super::names::name;

/// What lies behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// So many bytes into the payload.
    Image(u64),
    /// So many bytes into a block.
    Block(BlockId, u64),
    /// Device registers at this address.
    Device(u64),
}

/// A mapping in a space.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) address: u64,
    pub(crate) backing: Backing,
    pub(crate) bytes: u64,
    pub(crate) access: u32,
    pub(crate) space: u32,
    pub(crate) name: String,
}

/// What is told of where memory lies for devices, once that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bus {
    /// `extra` of this object.
    Object(u32),
    /// `out_bus` of this link.
    Out(usize),
    /// `incoming_bus` of this link.
    Incoming(usize),
}

impl Mapping {
    pub(crate) fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes)
    }
}

/// A doorbell: who hears it, and the event it raises there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bell {
    pub(crate) to: usize,
    pub(crate) event: u32,
}

/// An interrupt line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) line: u32,
    pub(crate) event: u32,
    pub(crate) edge: bool,
    /// Of a message: the physical address of its entry, and the requester id of its device.
    pub(crate) entry: u64,
    pub(crate) source: u32,
}

/// A partition in the making.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) objects: Vec<ObjectInfo>,
    pub(crate) segments: Vec<LoadSegment>,
    pub(crate) links: Vec<LinkInfo>,
    /// What is filled in when everything has its place.
    pub(crate) buses: Vec<(Bus, Backing)>,
    pub(crate) ports: Vec<PortRecord>,
    pub(crate) bells: Vec<Bell>,
    pub(crate) lines: Vec<Line>,
    /// What boot does to its devices.
    pub(crate) setups: Vec<SetupRecord>,
    /// What silences them.
    pub(crate) quiesces: Vec<AccessRecord>,
    /// Those behind the IOMMU, by requester id.
    pub(crate) streams: Vec<u32>,
    /// Pages of their registers that the kernel writes to.
    pub(crate) kernel_pages: BTreeSet<u64>,
    pub(crate) peers: BTreeSet<u32>,
    /// What is added to the addresses of [`layout`].
    pub(crate) base: u64,
    /// The pool of the guest's page tables.
    pub(crate) tables: Option<BlockId>,
    /// Contexts, then vCPU pages.
    pub(crate) home: Option<BlockId>,
    /// Bytes of one vCPU's contexts.
    pub(crate) context_bytes: u64,
    /// Entry of the program.
    pub(crate) entry: u64,
    pub(crate) stack_top: u64,
    pub(crate) stack_stride: u64,
    pub(crate) heap: u64,
    pub(crate) heap_bytes: u64,
    /// Memory of its own: data, stacks, heap.
    pub(crate) memory_bytes: u64,
    events: u32,
    next: u64,
}

impl Cell {
    pub(crate) fn new(base: u64) -> Cell {
        Cell {
            mappings: Vec::new(),
            objects: Vec::new(),
            segments: Vec::new(),
            links: Vec::new(),
            buses: Vec::new(),
            ports: Vec::new(),
            bells: Vec::new(),
            lines: Vec::new(),
            setups: Vec::new(),
            quiesces: Vec::new(),
            streams: Vec::new(),
            kernel_pages: BTreeSet::new(),
            peers: BTreeSet::new(),
            base,
            tables: None,
            home: None,
            context_bytes: PAGE,
            entry: 0,
            stack_top: 0,
            stack_stride: 0,
            heap: 0,
            heap_bytes: 0,
            memory_bytes: 0,
            events: 0,
            next: base + layout::OBJECTS,
        }
    }

    /// Takes addresses for an object; a hole of a page stays before it.
    pub(crate) fn reserve(&mut self, bytes: u64) -> u64 {
        let align = if bytes >= LARGE { LARGE } else { PAGE };
        let address = (self.next + PAGE).next_multiple_of(align);
        self.next = address + bytes.next_multiple_of(PAGE);
        address
    }

    /// Maps into the host space at a given address.
    pub(crate) fn map(&mut self, title: &str, address: u64, backing: Backing, bytes: u64, access: u32) {
        let name = title.to_owned();
        self.mappings.push(Mapping { address, backing, bytes, access, space: SPACE_HOST, name });
    }

    /// Maps into the guest space.
    pub(crate) fn map_guest(&mut self, title: &str, address: u64, backing: Backing, bytes: u64, access: u32) {
        let name = title.to_owned();
        self.mappings.push(Mapping { address, backing, bytes, access, space: SPACE_GUEST, name });
    }

    /// Maps into the host space at an address of the tool's choice, and returns it.
    pub(crate) fn map_object(&mut self, title: &str, backing: Backing, bytes: u64, access: u32) -> u64 {
        let address = self.reserve(bytes);
        self.map(title, address, backing, bytes, access);
        address
    }

    /// As [`Self::map_object`], for memory that the partition's devices reach, too.
    pub(crate) fn map_reached(&mut self, title: &str, backing: Backing, bytes: u64, access: u32) -> u64 {
        self.map_object(title, backing, bytes, access | DMA)
    }

    /// Fills in where memory lies for devices, by `physical`.
    pub(crate) fn tell(&mut self, physical: impl Fn(Backing) -> u64) {
        for (whose, backing) in &self.buses {
            let address = physical(*backing);
            let slot = match *whose {
                Bus::Object(number) => self.objects.get_mut(number as usize).map(|object| &mut object.extra),
                Bus::Out(link) => self.links.get_mut(link).map(|link| &mut link.out_bus),
                Bus::Incoming(link) => self.links.get_mut(link).map(|link| &mut link.incoming_bus),
            };
            if let Some(slot) = slot {
                *slot = address;
            }
        }
    }

    /// The next event bit.
    pub(crate) fn event(&mut self) -> u32 {
        let event = event::assigned(self.events);
        self.events += 1;
        event
    }

    /// Adds a doorbell and returns its number.
    pub(crate) fn bell(&mut self, bell: Bell) -> u32 {
        self.bells.push(bell);
        self.bells.len() as u32 - 1
    }

    /// Adds an object and returns its number.
    pub(crate) fn object(&mut self, object: ObjectInfo) -> u32 {
        self.objects.push(object);
        self.objects.len() as u32 - 1
    }
}

/// No event.
pub(crate) const NO_EVENT: u32 = 64;

/// An object that has a name and a kind, and nothing else yet.
pub(crate) fn object(title: &str, kind: ObjectKind) -> ObjectInfo {
    ObjectInfo {
        name: name(title),
        kind: kind as u32,
        number: 0,
        address: 0,
        size: 0,
        extra: 0,
        event: NO_EVENT,
        doorbell: u32::MAX,
    }
}
