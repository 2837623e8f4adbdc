// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What driver partitions share, in general, and its ends: PZ0102, PZ0107, PZ0601–PZ0603. Who serves it
//! is in `serve`.

use std::path::PathBuf;

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{EndAt, Network, Partition};
use parzelle_schema::reader::{Field, Text};
use parzelle_schema::source::{At, Place};
use parzelle_schema::text::Mac;
use parzelle_schema::tree::Table;

use super::programs::path_of;
use super::{Ctx, serve};

/// Disks, and the parts of a device that hold them, begin and end at multiples of this.
pub(crate) const GRAIN: u64 = 512;

/// What is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A part of a disk.
    Disk,
    /// A network card, or only a switch.
    Network,
    /// A UART.
    Console,
}

impl Kind {
    /// What the metadata of a program that serves it says.
    pub(crate) fn served(self) -> &'static str {
        match self {
            Kind::Disk => "block",
            Kind::Network => "network",
            Kind::Console => "console",
        }
    }

    /// The crate that comes with Parzelle and serves it.
    pub(super) fn krate(self) -> &'static str {
        match self {
            Kind::Disk => "block",
            Kind::Network => "net",
            Kind::Console => "console",
        }
    }

    /// The class of its devices.
    pub(super) fn class(self) -> &'static str {
        match self {
            Kind::Disk => "block",
            Kind::Network => "net",
            Kind::Console => "uart",
        }
    }

    /// For sentences.
    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Disk => "a disk",
            Kind::Network => "a network",
            Kind::Console => "a console",
        }
    }
}

/// Something that is shared.
pub(crate) struct Link<'a> {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its table.
    pub(crate) table: &'a Table,
    /// Its device.
    pub(crate) device: Option<&'a At<Text>>,
    /// Who serves it, if that is said by name.
    pub(crate) driver: Option<&'a At<Text>>,
    /// Who uses it.
    pub(crate) ends: Vec<&'a EndAt>,
    /// The place of all ends together; `None` if some can't be read.
    list: Option<Place>,
}

impl<'a> Link<'a> {
    /// Who serves it, by number.
    pub(crate) fn server(&self, cx: &Ctx<'a>) -> Option<(usize, &'a Partition)> {
        match (self.driver, self.device) {
            (Some(driver), _) => cx.partition(&driver.value.text),
            (None, Some(device)) => cx.partition(&owner(cx, &device.value.text)?.name.value),
            (None, None) => None,
        }
    }

    /// Its users by number, each once, without the server.
    pub(crate) fn clients(&self, cx: &Ctx<'a>) -> Vec<(usize, &'a Partition)> {
        let server = self.server(cx).map(|(at, _)| at);
        let all = cx.d.partitions.iter().enumerate().filter(|(at, _)| Some(*at) != server);
        let uses = |p: &Partition| {
            self.ends.iter().any(|e| e.end.partition == p.name.value || (self.starred() && e.end.partition == "*"))
        };
        all.filter(|(_, p)| uses(p)).collect()
    }

    /// Whether `*` may be among its ends.
    fn starred(&self) -> bool {
        self.kind == Kind::Console
    }
}

/// All that is shared.
pub(crate) fn all<'a>(cx: &Ctx<'a>) -> Vec<Link<'a>> {
    let d = cx.d;
    let ends = |list: &'a Field<Vec<EndAt>>| list.good().into_iter().flat_map(|l| &l.value);
    let mut out = Vec::new();
    for disk in &d.disks {
        let bad = [&disk.writers, &disk.readers].iter().any(|l| matches!(l, Field::Bad(_)));
        out.push(Link {
            kind: Kind::Disk,
            name: &disk.name.value,
            table: &disk.table,
            device: disk.device.good(),
            driver: None,
            ends: ends(&disk.writers).chain(ends(&disk.readers)).collect(),
            list: if bad {
                None
            } else {
                Some(disk.writers.place().or(disk.readers.place()).unwrap_or(disk.table.head))
            },
        });
    }
    for network in &d.networks {
        out.push(Link {
            kind: Kind::Network,
            name: &network.name.value,
            table: &network.table,
            device: network.device.good(),
            driver: network.driver.good(),
            ends: ends(&network.members).collect(),
            list: network.members.good().map(|l| l.place),
        });
    }
    for console in &d.consoles {
        out.push(Link {
            kind: Kind::Console,
            name: &console.name.value,
            table: &console.table,
            device: console.device.good(),
            driver: None,
            ends: ends(&console.members).collect(),
            // What only its driver uses is a console, too.
            list: None,
        });
    }
    out
}

pub(super) fn check(cx: &mut Ctx<'_>) {
    for link in all(cx) {
        ends(cx, &link);
        serve::served(cx, &link);
        serve::common_schedules(cx, &link);
    }
}

/// PZ0102, PZ0107, PZ0601, PZ0602, PZ0603.
fn ends(cx: &mut Ctx<'_>, link: &Link<'_>) {
    let (name, head) = (link.name, link.table.head);
    if let (true, Some(list)) = (link.ends.is_empty(), link.list) {
        let found = Diagnostic::error("PZ0602", format!("nobody uses `{name}`"), list, "no client");
        let found = if list == head { found } else { found.counter(head, "this link") };
        cx.push(found.help("name a partition, or delete the link"));
    }
    let server = link.server(cx).map(|(_, p)| p.name.value.clone());
    let mut seen: Vec<&EndAt> = Vec::new();
    for end in &link.ends {
        if end.end.partition == "*" {
            if !link.starred() {
                let title = format!("`*` can't be an end of {}", link.kind.title());
                let found =
                    Diagnostic::error("PZ0107", title, end.place, "every partition?").counter(head, "this link");
                cx.push(found.help("name the partitions: who can reach whom is written down"));
            }
            continue;
        }
        let role = if link.kind == Kind::Disk { "a user" } else { "a member" };
        cx.resolve(end, &format!("named here as {role} of `{name}`"));
        if link.starred() {
            continue;
        }
        if server.as_ref() == Some(&end.end.partition) {
            let served = link.device.or(link.driver).map(|at| at.place);
            cx.push(
                Diagnostic::error(
                    "PZ0601",
                    format!("`{}` is a client of itself", end.end.partition),
                    end.partition_place,
                    format!("uses `{name}`"),
                )
                .counter_if(served, "and serves it")
                .help("another partition; the driver has the whole device"),
            );
        }
        if let Some(first) = seen.iter().find(|s| s.end == end.end) {
            cx.push(
                Diagnostic::error(
                    "PZ0603",
                    format!("`{}` is twice at one end of `{name}`", end.end.partition),
                    end.place,
                    "again here",
                )
                .counter(first.place, "first here")
                .help(if link.kind == Kind::Disk {
                    "delete one of them: writers read too"
                } else {
                    "delete one of them, or name another port"
                }),
            );
        }
        seen.push(end);
    }
}

/// The ports of a partition at links of a kind: link and port.
///
/// **An addition to the language:** an end without a port is called like its link, but a guest knows
/// its disks and networks by devices: there it is the next free one of `xvda`, `xvdb` …, or of `eth0`,
/// `eth1` …, in the order of the links' names.
pub(crate) fn ports<'a>(cx: &Ctx<'a>, kind: Kind, partition: &str) -> Vec<(&'a str, &'a EndAt, String)> {
    let guest = cx.partition(partition).is_some_and(|(_, p)| p.guest.is_some());
    let links = all(cx).into_iter().filter(|link| link.kind == kind);
    let mut ends: Vec<(&str, &EndAt)> =
        links.flat_map(|link| link.ends.iter().map(|e| (link.name, *e)).collect::<Vec<_>>()).collect();
    ends.retain(|(_, e)| e.end.partition == partition);
    ends.sort_by_key(|(link, _)| *link);
    let taken: Vec<&str> = ends.iter().filter_map(|(_, e)| e.end.port.as_deref()).collect();
    let mut free = (0..).map(|number: u32| device_name(kind, number)).filter(|name| !taken.contains(&name.as_str()));
    let mut name = |link: &str, end: &EndAt| match &end.end.port {
        Some(port) => port.clone(),
        None if guest && kind != Kind::Console => free.next().unwrap_or_default(),
        None => link.to_owned(),
    };
    ends.into_iter().map(|(link, end)| (link, end, name(link, end))).collect()
}

/// What a guest calls a device.
fn device_name(kind: Kind, number: u32) -> String {
    match kind {
        Kind::Disk => {
            let letter = |n: u32| char::from(b'a' + (n % 26) as u8).to_string();
            let last = letter(number);
            match number / 26 {
                0 => format!("xvd{last}"),
                more => format!("xvd{}{last}", letter(more - 1)),
            }
        }
        Kind::Network => format!("eth{number}"),
        Kind::Console => format!("hvc{number}"),
    }
}

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
