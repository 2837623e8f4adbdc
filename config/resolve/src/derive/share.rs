// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What driver partitions share: disks, networks, consoles; each is served by whoever owns its device.
//!
//! The address of a network port is made from names, so that it is the same in every build, and on
//! every board: FNV-1a of `network`, `partition`, `port` behind a first byte of 0x02, which makes it
//! one station's (bit 0 is clear) and locally administered (bit 1 is set; IEEE 802, §8.2.2). Should
//! two names of a network meet, the later one is hashed again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use parzelle_schema::file::EndAt;

use super::Order;
use crate::model::*;
use crate::rules::share::Kind;
use crate::rules::{Ctx, share};

/// The port of an end.
fn port(cx: &Ctx<'_>, kind: Kind, end: &EndAt, link: &str) -> String {
    let all = share::ports(cx, kind, &end.end.partition);
    all.into_iter().find(|(of, e, _)| *of == link && e.end == end.end).map_or_else(String::new, |(.., port)| port)
}

fn owner(cx: &Ctx<'_>, order: &Order, device: &str) -> Option<PartitionIndex> {
    order.partition(&share::owner(cx, device)?.name.value)
}

pub(super) fn disks(cx: &Ctx<'_>, order: &Order) -> Option<Vec<Disk>> {
    let mut out = Vec::new();
    for d in &cx.d.disks {
        let name = &d.name.value;
        let device = &d.device.good()?.value.text;
        let mut clients = Vec::new();
        for (end, writable) in d.ends() {
            let partition = order.partition(&end.end.partition)?;
            clients.push(DiskClient { partition, port: port(cx, Kind::Disk, end, name), writable });
        }
        clients.sort_by(|a, b| (a.partition, &a.port).cmp(&(b.partition, &b.port)));
        let content = d.content.good().map(|path| share::content(cx, &path.value.text));
        out.push(Disk {
            name: name.clone(),
            device: order.device(device)?,
            server: owner(cx, order, device)?,
            lies: match d.range.good() {
                Some(at) => DiskPlace::Range(Region { start: at.value.0, size: at.value.1 }),
                None => DiskPlace::Gpt(d.gpt.good().map_or_else(|| name.clone(), |gpt| gpt.value.text.clone())),
            },
            size: size(d, content.as_ref())?,
            content,
            clients,
            head: d.table.head,
        });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Some(out)
}

/// Written, that of the range, or that of the content.
fn size(d: &parzelle_schema::file::Disk, content: Option<&PathBuf>) -> Option<Derived<u64>> {
    if let Some(at) = d.size.good() {
        return Some(Derived::written(at.value));
    }
    if let Some(at) = d.range.good() {
        return Some(Derived::from(at.value.1, "from `range`"));
    }
    let bytes = std::fs::metadata(content?).ok()?.len();
    Some(Derived::from(bytes.max(1).next_multiple_of(share::GRAIN), "from `content`"))
}

pub(super) fn networks(cx: &Ctx<'_>, order: &Order) -> Option<Vec<Network>> {
    let mut out = Vec::new();
    for n in &cx.d.networks {
        let name = &n.name.value;
        let device = n.device.good().map(|device| device.value.text.as_str());
        let server = match (n.driver.good(), device) {
            (Some(driver), _) => Derived::written(order.partition(&driver.value.text)?),
            (None, Some(device)) => Derived::from(owner(cx, order, device)?, "owner of its device"),
            (None, None) => return None,
        };
        let mut members = Vec::new();
        for end in &n.members.good()?.value {
            let written = share::mac(n, end).map(|mac| Derived::written(mac.value));
            members.push((
                order.partition(&end.end.partition)?,
                &end.end.partition,
                port(cx, Kind::Network, end, name),
                written,
            ));
        }
        members.sort_by(|a, b| (a.0, &a.2).cmp(&(b.0, &b.2)));
        let mut taken: BTreeSet<Mac> = members.iter().filter_map(|m| Some(m.3.as_ref()?.value)).collect();
        let members = members.into_iter().map(|(partition, title, port, written)| {
            let mac = written.unwrap_or_else(|| Derived::from(made(name, title, &port, &mut taken), "made from names"));
            NetworkMember { partition, port, mac }
        });
        out.push(Network {
            name: name.clone(),
            device: match device {
                Some(device) => Some(order.device(device)?),
                None => None,
            },
            server,
            vlan: n.vlan.good().and_then(|vlan| u16::try_from(vlan.value).ok()),
            members: members.collect(),
            head: n.table.head,
        });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Some(out)
}

/// An address that none of `taken` is.
fn made(network: &str, partition: &str, port: &str, taken: &mut BTreeSet<Mac>) -> Mac {
    // FNV-1a, 64 bits.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash
    };
    for name in [network, partition, port] {
        feed(name.as_bytes());
    }
    loop {
        let [a, b, c, d, e, ..] = feed(&[]).to_le_bytes();
        let mac = Mac([0x02, a, b, c, d, e]);
        if taken.insert(mac) {
            return mac;
        }
    }
}

pub(super) fn consoles(cx: &Ctx<'_>, order: &Order) -> Option<Vec<Console>> {
    if let Some(uart) = &order.added_console {
        let server = order.partition("console")?;
        let members = order.named("*").into_iter().filter(|p| *p != server).collect();
        return Some(vec![Console {
            name: "console".to_owned(),
            derived: true,
            device: order.device(uart)?,
            server,
            members,
            ports: Vec::new(),
        }]);
    }
    let mut out = Vec::new();
    for c in &cx.d.consoles {
        let device = &c.device.good()?.value.text;
        let server = owner(cx, order, device)?;
        let ends = &c.members.good()?.value;
        let ports = ends.iter().filter_map(|e| Some((order.partition(&e.end.partition)?, e.end.port.clone()?)));
        let ports = ports.collect();
        let mut members: Vec<PartitionIndex> =
            ends.iter().flat_map(|e| order.named(&e.end.partition)).filter(|p| *p != server).collect();
        members.sort_unstable();
        members.dedup();
        out.push(Console {
            name: c.name.value.clone(),
            derived: false,
            device: order.device(device)?,
            server,
            members,
            ports,
        });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Some(out)
}
