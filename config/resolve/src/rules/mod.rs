// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The rules, each with its code, on the description of one board.
//!
//! | file | rules |
//! |---|---|
//! | `names` | PZ01xx |
//! | `programs`, `elf` | PZ02xx |
//! | `memory` | PZ03xx |
//! | `windows`, `overlaps`, `boundaries`, `places`, `promises`, `switching` | PZ04xx |
//! | `links` | PZ06xx |
//! | `devices`, `pci` | PZ07xx |
//! | `share`, `serve`, `disks`, `networks`, `consoles` | PZ08xx |
//! | `health`, `rights` | PZ09xx |
//! | `guests` | PZ10xx |
//!
//! A rule reads [`Ctx`] and pushes findings; no rule depends on another having passed. What
//! several rules and the derivation need is computed once, in [`Facts`].

mod boundaries;
mod consoles;
mod devices;
mod disks;
mod elf;
pub(crate) mod facts;
mod guests;
mod health;
mod links;
mod memory;
mod names;
mod networks;
mod overlaps;
mod pci;
mod places;
mod programs;
mod promises;
mod rights;
mod serve;
pub(crate) mod share;
mod switching;
pub(crate) mod windows;

use std::path::Path;

use parzelle_schema::board::BoardFile;
use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Description, EndAt, Partition};
use parzelle_schema::nearest::{listed, nearest};
use parzelle_schema::reader::Text;
use parzelle_schema::source::{At, Place, Sources};

use crate::environment::Environment;
use crate::model::Arch;
pub(crate) use facts::Facts;

/// What rules read: one description, one board.
pub(crate) struct Ctx<'a> {
    /// All texts.
    pub(crate) sources: &'a Sources,
    /// The description, as it holds for this board.
    pub(crate) d: &'a Description,
    /// The board's file.
    pub(crate) board: &'a BoardFile,
    /// The board's name.
    pub(crate) board_name: &'a str,
    /// The board's architecture.
    pub(crate) arch: Arch,
    /// `system.boards`.
    pub(crate) boards: &'a [At<Text>],
    /// The files of all boards.
    pub(crate) files: &'a [(At<Text>, BoardFile)],
    /// Boards, crates.
    pub(crate) env: &'a Environment,
    /// The description's folder.
    pub(crate) folder: &'a Path,
    /// What was computed once.
    pub(crate) facts: Facts,
    /// Findings.
    pub(crate) out: Vec<Diagnostic>,
}

impl<'a> Ctx<'a> {
    pub(crate) fn push(&mut self, d: Diagnostic) {
        self.out.push(d);
    }

    /// The partition of a name.
    pub(crate) fn partition(&self, name: &str) -> Option<(usize, &'a Partition)> {
        self.d.partitions.iter().enumerate().find(|(_, p)| p.name.value == name)
    }

    /// The head of a partition's table.
    pub(crate) fn head(&self, partition: usize) -> Option<Place> {
        self.d.partitions.get(partition).map(|p| p.table.head)
    }

    /// All partitions' names.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        self.d.partitions.iter().map(|p| p.name.value.as_str()).collect()
    }

    /// Where `system.boards` names this board.
    pub(crate) fn board_place(&self) -> Option<Place> {
        self.boards.iter().find(|b| b.value.text == self.board_name).map(|b| b.place)
    }

    /// Reports that no partition has a name (PZ0102).
    pub(crate) fn no_partition(&mut self, name: &str, place: Place, role: &str) {
        let quoted = self.sources.at(place).starts_with('"');
        let near = nearest(name, self.names());
        let mut d = Diagnostic::error("PZ0102", format!("no partition is called `{name}`"), place, role)
            .note(format!("the partitions are {}", listed(self.names().into_iter().take(12))));
        if name == "0" {
            d = d.help("time partition 0 has no windows: it gets each gap, and what windows leave");
        }
        if let Some((near, (at, _))) = near.and_then(|n| self.partition(n).map(|p| (n, p))) {
            d = d.counter_if(self.head(at), "a partition with a similar name");
            let new = if quoted { format!("\"{near}\"") } else { near.to_owned() };
            d = d.fix("write the name as it is declared", place, new);
        }
        self.push(d);
    }

    /// The partition at the end of a link, or a finding.
    pub(crate) fn resolve(&mut self, end: &EndAt, role: &str) -> Option<usize> {
        let found = self.partition(&end.end.partition).map(|(i, _)| i);
        if found.is_none() {
            self.no_partition(&end.end.partition, end.partition_place, role);
        }
        found
    }
}

/// Checks everything.
pub(crate) fn run(cx: &mut Ctx<'_>) {
    windows::check(cx);
    facts::compute(cx);
    names::check(cx);
    programs::check(cx);
    memory::check(cx);
    places::check(cx);
    promises::check(cx);
    switching::check(cx);
    links::check(cx);
    devices::check(cx);
    share::check(cx);
    disks::check(cx);
    networks::check(cx);
    consoles::check(cx);
    health::check(cx);
    rights::check(cx);
    guests::check(cx);
}

/// A time as it is written in the file: `8ms`.
pub(crate) fn written_time(ns: u64) -> String {
    parzelle_schema::text::show_time(ns).replace(' ', "")
}

/// A size as it is written in the file: the largest unit that divides it.
pub(crate) fn written_size(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

/// An address as it is written in the file: `0x4800_0000`.
pub(crate) fn written_address(address: u64) -> String {
    let digits = format!("{address:08x}");
    let mut out = String::from("0x");
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(4) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}
