// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the tool told this partition about itself: its information pages.

use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_abi::info::{
    FLAG_FP, FLAG_TUNE, GuestInfo, InfoHeader, LinkInfo, LoadSegment, MAGIC, ObjectInfo, ObjectKind,
};
use zerocopy::{FromBytes, FromZeros};

use crate::config::Config;
use crate::error::Error;

/// Where the information pages lie; 0 before the start and on a host.
static PAGES: AtomicU64 = AtomicU64::new(0);

/// This partition: a view of its information pages, cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    header: InfoHeader,
    bytes: &'static [u8],
    objects: &'static [ObjectInfo],
}

impl Partition {
    /// The partition that this program is. On a host: one without name and objects.
    pub fn get() -> Self {
        let address = PAGES.load(Ordering::Relaxed);
        let length = if address == 0 { 0 } else { header_at(address).bytes as usize };
        let pointer = if length == 0 { core::ptr::dangling() } else { address as *const u8 };
        // SAFETY: the kernel passed the address of pages that the tool wrote, mapped read-only
        // and never changed; their length stands in their head. Without pages the slice is empty.
        Self::parse(unsafe { core::slice::from_raw_parts(pointer, length) })
    }

    /// Reads information pages. What does not fit in them reads as empty.
    pub fn parse(bytes: &'static [u8]) -> Self {
        let header = InfoHeader::read_from_prefix(bytes).map(|(header, _)| header);
        let header = header.ok().filter(|header| header.magic == MAGIC);
        let header = header.unwrap_or_else(InfoHeader::new_zeroed);
        let objects = table(bytes, header.objects, header.object_count);
        Self { header, bytes, objects }
    }

    /// The head of the pages.
    pub fn header(&self) -> &InfoHeader {
        &self.header
    }

    /// The partition's name.
    pub fn name(&self) -> &str {
        self.header.name.as_str()
    }

    /// Its number in the plan.
    pub fn number(&self) -> u32 {
        self.header.partition
    }

    /// How many vCPUs it has.
    pub fn vcpus(&self) -> u32 {
        self.header.vcpus
    }

    /// Whether the kernel keeps FP/SIMD registers for it.
    pub fn has_fp(&self) -> bool {
        self.header.flags & FLAG_FP != 0
    }

    /// All its objects.
    pub fn objects(&self) -> &'static [ObjectInfo] {
        self.objects
    }

    /// Whether an object is one of these, in place: not a copy, and not made up.
    pub(crate) fn holds(&self, object: &ObjectInfo) -> bool {
        self.objects.as_ptr_range().contains(&core::ptr::from_ref(object))
    }

    /// Its objects of one kind.
    pub fn objects_of(&self, kind: ObjectKind) -> impl Iterator<Item = &'static ObjectInfo> + use<> {
        self.objects.iter().filter(move |object| object.kind == kind as u32)
    }

    /// The object of that kind and name.
    ///
    /// # Errors
    /// [`Error::Missing`] if the description gives none.
    pub fn object(&self, kind: ObjectKind, name: &str) -> Result<&'static ObjectInfo, Error> {
        let found = self.objects_of(kind).find(|object| object.name.as_str() == name);
        found.ok_or_else(|| Error::missing(kind, name))
    }

    /// What the loader does at a start.
    pub fn segments(&self) -> &'static [LoadSegment] {
        table(self.bytes, self.header.segments, self.header.segment_count)
    }

    /// Its ends of links to disks and networks.
    pub fn links(&self) -> &'static [LinkInfo] {
        table(self.bytes, self.header.links, self.header.link_count)
    }

    /// Whether a shim may tune its guest's kernel.
    pub fn may_tune(&self) -> bool {
        self.header.flags & FLAG_TUNE != 0
    }

    /// What a shim needs to know of its guest; `None` in a native partition.
    pub fn guest(&self) -> Option<GuestInfo> {
        let at = self.header.guest as usize;
        let bytes = self.bytes.get(at..).filter(|_| at != 0)?;
        GuestInfo::read_from_prefix(bytes).ok().map(|(guest, _)| guest)
    }

    /// Text in the pages (the guest's command line).
    pub fn text(&self, offset: u32, bytes: u32) -> &'static str {
        let range = self.bytes.get(offset as usize..).and_then(|b| b.get(..bytes as usize));
        core::str::from_utf8(range.unwrap_or_default()).unwrap_or_default()
    }

    /// The free table `config` of the description.
    pub fn config(&self) -> Config<'static> {
        Config::new(self.text(self.header.config, self.header.config_bytes))
    }
}

/// Remembers where the pages lie; called once at the start.
pub(crate) fn set_pages(address: u64) {
    PAGES.store(address, Ordering::Relaxed);
}

/// Copies the head of the pages at `address`.
fn header_at(address: u64) -> InfoHeader {
    // SAFETY: as in `Partition::get`: pages that hold at least a head, aligned to a page.
    unsafe { (address as *const InfoHeader).read() }
}

/// A table in the pages; empty if it does not lie within, aligned.
fn table<T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout>(
    bytes: &'static [u8],
    offset: u32,
    count: u32,
) -> &'static [T] {
    let rest = bytes.get(offset as usize..).unwrap_or_default();
    let table = <[T]>::ref_from_prefix_with_elems(rest, count as usize);
    table.map_or(&[], |(table, _)| table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_abi::info::Name;
    use zerocopy::IntoBytes;

    /// Pages with two objects and a config.
    fn pages() -> &'static [u8] {
        extern crate std;
        let config = b"{\"seconds\":3}";
        let mut header = InfoHeader::new_zeroed();
        header.magic = MAGIC;
        header.name = Name::new("me").unwrap();
        header.objects = size_of::<InfoHeader>() as u32;
        header.object_count = 2;
        header.config = header.objects + 2 * size_of::<ObjectInfo>() as u32;
        header.config_bytes = config.len() as u32;
        let mut object = ObjectInfo::new_zeroed();
        object.name = Name::new("state").unwrap();
        object.kind = ObjectKind::SamplingSource as u32;
        let mut other = object;
        other.kind = ObjectKind::QueuingDestination as u32;
        let mut words = std::vec![0u64; 64].into_boxed_slice();
        let bytes = std::boxed::Box::leak(core::mem::take(&mut words)).as_mut_bytes();
        let parts = [header.as_bytes(), object.as_bytes(), other.as_bytes(), config].concat();
        bytes[..parts.len()].copy_from_slice(&parts);
        bytes
    }

    #[test]
    fn objects_are_found_by_kind_and_name() {
        let me = Partition::parse(pages());
        assert_eq!(me.name(), "me");
        assert_eq!(me.objects().len(), 2);
        assert!(me.object(ObjectKind::QueuingDestination, "state").is_ok());
        let missing = me.object(ObjectKind::QueuingSource, "state").unwrap_err();
        extern crate std;
        use std::string::ToString;
        assert_eq!(missing.to_string(), "the description gives no queuing source `state`");
        assert_eq!(me.config().number("seconds"), Some(3));
    }

    #[test]
    fn damaged_pages_read_as_empty() {
        assert_eq!(Partition::parse(&[]).objects().len(), 0);
        assert_eq!(Partition::parse(&pages()[..100]).objects().len(), 0);
        assert_eq!(Partition::get().name(), "");
    }
}
