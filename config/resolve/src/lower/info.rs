// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The information pages of a partition, as bytes of the payload.

use parzelle_abi::PAGE;
use parzelle_abi::info::{FLAG_FP, FLAG_TUNE, GuestInfo, InfoHeader, LinkInfo, LoadSegment, MAGIC, ObjectInfo, layout};
use std::mem::size_of;
use zerocopy::IntoBytes;

use super::cell::Cell;
use super::guest::Guest;
use super::names::name;
use crate::model::Partition;

/// Writes the pages of partition `index`.
pub(crate) fn pages(index: usize, partition: &Partition, cell: &Cell, guest: Option<&Guest>) -> Vec<u8> {
    let mut behind = size_of::<InfoHeader>();
    let mut place = |bytes: usize| {
        let offset = behind.next_multiple_of(8);
        behind = offset + bytes;
        offset as u32
    };
    let config = config_json(&partition.config);
    let cmdline = guest.map_or("", |guest| guest.cmdline.as_str());
    let objects = place(cell.objects.len() * size_of::<ObjectInfo>());
    let segments = place(cell.segments.len() * size_of::<LoadSegment>());
    let links = place(cell.links.len() * size_of::<LinkInfo>());
    let guest_at = guest.map_or(0, |_| place(size_of::<GuestInfo>()));
    let config_at = place(config.len());
    let cmdline_at = place(cmdline.len());
    let bytes = behind.next_multiple_of(PAGE as usize);

    let header = InfoHeader {
        magic: MAGIC,
        revision: parzelle_abi::REVISION,
        partition: index as u32,
        name: name(&partition.name),
        vcpus: partition.vcpus.value.len() as u32,
        flags: if partition.fp.value { FLAG_FP } else { 0 }
            | if partition.guest.as_ref().is_some_and(|guest| guest.tune) { FLAG_TUNE } else { 0 },
        vcpu_pages: cell.base + layout::VCPU_PAGES,
        entry: cell.entry,
        stack_top: cell.stack_top,
        stack_stride: cell.stack_stride,
        heap: cell.heap,
        heap_bytes: cell.heap_bytes,
        objects,
        object_count: cell.objects.len() as u32,
        segments,
        segment_count: cell.segments.len() as u32,
        config: config_at,
        config_bytes: config.len() as u32,
        guest: guest_at,
        bytes: bytes as u32,
        links,
        link_count: cell.links.len() as u32,
    };
    let mut pages = vec![0; bytes];
    put(&mut pages, 0, header.as_bytes());
    put(&mut pages, objects, cell.objects.as_bytes());
    put(&mut pages, segments, cell.segments.as_bytes());
    put(&mut pages, links, cell.links.as_bytes());
    put(&mut pages, config_at, config.as_bytes());
    put(&mut pages, cmdline_at, cmdline.as_bytes());
    if let Some(guest) = guest {
        let info = GuestInfo {
            ram: guest.ram,
            ram_guest: guest.ram_guest,
            ram_bytes: guest.ram_bytes,
            kernel: guest.kernel.0,
            kernel_bytes: guest.kernel.1,
            initrd: guest.initrd.0,
            initrd_bytes: guest.initrd.1,
            cmdline: cmdline_at,
            cmdline_bytes: cmdline.len() as u32,
            cores: std::array::from_fn(|n| partition.vcpus.value.get(n).map_or(0, |vcpu| vcpu.core as u8)),
        };
        put(&mut pages, guest_at, info.as_bytes());
    }
    pages
}

fn put(pages: &mut [u8], at: u32, bytes: &[u8]) {
    if let Some(slot) = pages.get_mut(at as usize..at as usize + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

/// The `config` table as JSON, keys sorted. The schema has proved that it is TOML.
fn config_json(text: &str) -> String {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    serde_json::to_string(&table).unwrap_or_else(|_| "{}".to_owned())
}
