// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Who may depend on whom.
//!
//! ```text
//!   privileged    abi ─▶ plan ─▶ core ─▶ arch ─▶ bsp            paging ─▶ arch
//!   on the host          plan, paging, core, schema ─▶ resolve ─▶ tools, tests
//!   partitions    abi ─▶ sys ─▶ rt ─▶ programs and their libraries
//!   both          guests (what a guest's kernel expects) ─▶ tools, programs
//! ```
//!
//! "─▶" reads "is used by". Any other arrow between packages of this workspace is a mistake, and so
//! is a crate in a kernel image that the list below does not name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is the verdict of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A room of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Abi,
    Plan,
    Paging,
    /// The page-table service for guests: x86-64 only.
    Tables,
    Core,
    Arch,
    Bsp,
    Schema,
    Resolve,
    /// Tools and the harness: on the host, used by nobody but each other.
    Tools,
    Sys,
    Rt,
    /// What kernels of guests expect: the shim serves it, the tools check it.
    Guests,
    /// Programs of partitions and what only they share.
    Program,
}

use Room::{Abi, Arch, Bsp, Core, Guests, Paging, Plan, Program, Resolve, Rt, Schema, Sys, Tables, Tools};

impl Room {
    /// The room in which a directory lies; the longest entry that fits wins.
    fn of(directory: &Path) -> Option<Self> {
        let rooms = [
            ("kernel/abi", Abi),
            ("config/plan", Plan),
            ("kernel/paging", Paging),
            ("kernel/tables", Tables),
            ("kernel/core", Core),
            ("kernel/arch", Arch),
            ("bsp", Bsp),
            ("config/schema", Schema),
            ("config/resolve", Resolve),
            ("tools", Tools),
            ("tests/harness", Tools),
            ("partitions/sys", Sys),
            ("partitions/rt", Rt),
            ("partitions", Program),
            ("paravirt-linux-shim/xen", Guests),
            ("paravirt-linux-shim", Program),
            ("tests/partitions", Program),
            // Programs of Linux: they use nothing of ours.
            ("tests/guest", Program),
        ];
        rooms.into_iter().find(|(room, _)| directory.starts_with(room)).map(|(_, room)| room)
    }

    /// The rooms that this one may use.
    fn uses(self) -> &'static [Self] {
        match self {
            Abi | Schema | Guests => &[],
            Plan | Paging | Sys => &[Abi],
            Tables => &[Abi, Paging],
            Core => &[Abi, Plan, Paging, Tables],
            Arch => &[Abi, Plan, Paging, Tables, Core],
            Bsp => &[Abi, Plan, Paging, Tables, Core, Arch, Bsp],
            // The resolver runs the kernel core's own boot checks on the plan, and sizes page tables
            // by the arithmetic of the code that fills them.
            Resolve => &[Abi, Plan, Paging, Core, Schema, Guests],
            Tools => &[Abi, Plan, Core, Schema, Resolve, Guests, Tools],
            Rt => &[Abi, Sys],
            Program => &[Abi, Sys, Rt, Guests, Program],
        }
    }

    /// Whether its tests may use another one: what it runs with, but doesn't contain.
    const fn is_tested_with(self, other: Self) -> bool {
        matches!((self, other), (Guests, Tables))
    }

    /// Whether its code ends in the kernel's image.
    fn is_privileged(self) -> bool {
        matches!(self, Abi | Plan | Paging | Tables | Core | Arch | Bsp)
    }
}

/// The crates from outside that may be part of a kernel image: directly, or through one of these.
///
/// A procedural macro runs in the compiler; it and what it uses are not in the image.
const IN_THE_KERNEL: [&str; 12] = [
    "aarch64-cpu",
    "bitflags",
    "crc",
    "crc-catalog",
    "fdt",
    "heapless",
    "log",
    "spin",
    "tock-registers",
    "zerocopy",
    // Used by `heapless`.
    "hash32",
    "stable_deref_trait",
];

/// What cargo knows of the packages.
struct Graph {
    metadata: Value,
    root: String,
}

impl Graph {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output =
            Command::new(cargo).args(["metadata", "--format-version", "1"]).current_dir(root).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata = serde_json::from_slice(&output.stdout).unwrap();
        Self { metadata, root: root.to_str().unwrap().to_owned() }
    }

    /// The packages of the workspace: name, room, and what each declares to depend on.
    fn packages(&self) -> impl Iterator<Item = (&str, Room, Vec<&Value>)> {
        let packages = self.metadata["packages"].as_array().unwrap().iter();
        let own = packages.filter(|package| package["source"].is_null());
        own.map(|package| {
            let name = package["name"].as_str().unwrap();
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let directory = manifest.parent().unwrap().strip_prefix(&self.root).unwrap();
            let room = Room::of(directory);
            let room = room.unwrap_or_else(|| panic!("{} lies in no room", directory.display()));
            (name, room, package["dependencies"].as_array().unwrap().iter().collect())
        })
    }

    /// All crates that the image of a package is made of, itself included.
    fn closure(&self, name: &str) -> BTreeSet<String> {
        let nodes = self.metadata["resolve"]["nodes"].as_array().unwrap();
        let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (node["id"].as_str().unwrap(), node)).collect();
        let packages = self.metadata["packages"].as_array().unwrap();
        let by_id: BTreeMap<&str, &Value> =
            packages.iter().map(|package| (package["id"].as_str().unwrap(), package)).collect();
        let is_start = |package: &&Value| package["name"] == name && package["source"].is_null();
        let start = packages.iter().find(is_start).unwrap();
        let mut waiting = vec![start["id"].as_str().unwrap()];
        let mut seen = BTreeSet::new();
        let mut names = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            let is_macro = by_id[id]["targets"]
                .as_array()
                .unwrap()
                .iter()
                .any(|target| target["kind"].as_array().unwrap().iter().any(|kind| kind == "proc-macro"));
            if is_macro || !seen.insert(id) {
                continue;
            }
            names.insert(by_id[id]["name"].as_str().unwrap().to_owned());
            for dependency in nodes[id]["deps"].as_array().unwrap() {
                let kinds = dependency["dep_kinds"].as_array().unwrap();
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    waiting.push(dependency["pkg"].as_str().unwrap());
                }
            }
        }
        names
    }
}

#[test]
fn no_arrow_leads_where_it_should_not() {
    let graph = Graph::read();
    let rooms: BTreeMap<&str, Room> = graph.packages().map(|(name, room, _)| (name, room)).collect();
    let mut wrong = Vec::new();
    for (name, room, dependencies) in graph.packages() {
        for dependency in dependencies {
            let used = dependency["name"].as_str().unwrap();
            // A package may depend on itself for its tests: that is how it enables its fakes.
            let in_tests = dependency["kind"] == "dev";
            let may = |used: &Room| room.uses().contains(used) || in_tests && room.is_tested_with(*used);
            let fine = used == name || rooms.get(used).is_none_or(may);
            if !fine {
                wrong.push(format!("{name} ({room:?}) uses {used} ({:?})", rooms[used]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_chosen_crates_are_in_a_kernel_image() {
    let graph = Graph::read();
    let own: BTreeSet<&str> = graph.packages().map(|(name, ..)| name).collect();
    let mut wrong = BTreeSet::new();
    for (name, room, _) in graph.packages() {
        if !room.is_privileged() {
            continue;
        }
        for used in graph.closure(name) {
            if !own.contains(used.as_str()) && !IN_THE_KERNEL.contains(&used.as_str()) {
                wrong.insert(format!("{used}, by way of {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not on the list of crates in the kernel: {wrong:#?}");
}
