// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What driver partitions share, in general: who owns a device.

use std::path::PathBuf;

use parzelle_schema::file::{EndAt, Network, Partition};
use parzelle_schema::source::At;
use parzelle_schema::text::Mac;

use super::Ctx;
use super::programs::path_of;

/// Disks, and the parts of a device that hold them, begin and end at multiples of this.
pub(crate) const GRAIN: u64 = 512;

/// The partition that owns a device.
pub(crate) fn owner<'a>(cx: &Ctx<'a>, device: &str) -> Option<&'a Partition> {
    let d = cx.d;
    let owns = |p: &&Partition| p.devices.good().is_some_and(|l| l.value.iter().any(|x| x.value.text == device));
    d.partitions.iter().find(owns)
}

/// Where the content of a disk is.
pub(crate) fn content(cx: &Ctx<'_>, written: &str) -> PathBuf {
    path_of(cx.folder, written, cx.arch, cx.board_name)
}

/// The address that is written for a member: for this port, or for its partition, if that is in the
/// network once.
pub(crate) fn mac<'a>(network: &'a Network, end: &EndAt) -> Option<&'a At<Mac>> {
    let of = |other: &EndAt| other.end.partition == end.end.partition;
    let exact = network.macs.iter().find(|(key, _)| key.end == end.end);
    let alone = network.members.good().is_some_and(|l| l.value.iter().filter(|e| of(e)).count() == 1);
    let by_partition = || network.macs.iter().find(|(key, _)| alone && of(key) && key.end.port.is_none());
    exact.or_else(by_partition).map(|(_, mac)| mac)
}
