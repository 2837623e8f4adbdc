// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! One partition.

use parzelle_schema::file::Partition as Written;
use parzelle_schema::reader::{Field, Text};
use parzelle_schema::source::At;
use parzelle_schema::tree::{Table, Value};

use super::{Order, time_of};
use crate::environment::Metadata;
use crate::model::*;
use crate::rules::Ctx;

const STACK: u64 = 64 << 10;

/// A written value, else one of the program's metadata, else a default.
fn choose<T: Copy>(written: &Field<T>, metadata: Option<T>, default: T) -> Derived<T> {
    match (written.good(), metadata) {
        (Some(at), _) => Derived::written(at.value),
        (None, Some(value)) => Derived { value, origin: Origin::METADATA },
        (None, None) => Derived::default(default),
    }
}

pub(super) fn derive(cx: &Ctx<'_>, order: &Order, at: usize, p: &Written) -> Option<Partition> {
    let package = cx.facts.packages.get(at)?.as_ref();
    let metadata = package.map(|p| p.metadata.clone()).unwrap_or_default();
    let path = |text: &str| cx.folder.join(text.replace("{arch}", cx.arch.name()).replace("{board}", cx.board_name));
    let written = |f: &Field<Text>| f.good().map(|t| path(&t.value.text));
    let program = match (&p.elf, &p.guest, package) {
        (Field::Good(elf), _, _) => Derived::written(Program::Elf { path: path(&elf.value.text) }),
        (_, None, Some(package)) => Derived::written(program(package, p)?),
        (_, Some(_), Some(package)) => Derived::from(program(package, p)?, "the shim for guests"),
        // A guest whose shim is not in the workspace: lowering will look for the crate.
        (_, Some(_), None) => Derived::from(
            Program::Crate {
                package: format!("shim-{}", cx.arch.name()),
                bin: format!("shim-{}", cx.arch.name()),
                features: Vec::new(),
                manifest: cx.env.root.join("Cargo.toml"),
            },
            "the shim for guests",
        ),
        _ => return None,
    };
    let guest = match &p.guest {
        None => None,
        Some(guest) => Some(Guest {
            kernel: written(&guest.kernel)?,
            initrd: written(&guest.initrd),
            cmdline: guest.cmdline.good().map(|c| c.value.text.clone()).unwrap_or_default(),
            page_tables: match guest.page_tables.good() {
                Some(at) => Derived::written(at.value),
                None => Derived::from((p.memory.good()?.value / 64).max(1 << 20), "1/64 of `memory`"),
            },
            tune: guest.tune.good().is_some_and(|tune| tune.value),
        }),
    };
    let time_partition = time_of(cx, order, at)?;
    let cores = cx.facts.cores.get(at)?;
    let vcpus: Vec<Vcpu> = cores.iter().map(|&core| Vcpu { core }).collect();
    let vcpus = match (p.cores.is_written(), time_partition.value) {
        (true, _) => Derived::from(vcpus, "from `cores`"),
        (false, TimePartitionIndex::ZERO) => Derived::from(vcpus, "core 0: time partition 0"),
        (false, _) => Derived::from(vcpus, "from the windows"),
    };
    let rate = |f: &Field<(u64, u64)>| f.good().map(|r| Rate { time: r.value.0, period: r.value.1 });
    let health = p.health.good().map_or("default", |h| h.value.text.as_str());
    let health = order.health(health)?;
    Some(Partition {
        name: p.name.value.clone(),
        derived: false,
        program,
        guest,
        config: p.config.as_ref().map(toml_of).unwrap_or_default(),
        fp: choose(&p.fp, metadata.fp, true),
        memory: match p.memory.good() {
            Some(at) => Derived::written(Some(at.value)),
            None => Derived::from(None, "what the program needs"),
        },
        stack: choose(&p.stack, metadata.stack, STACK),
        heap: choose(&Field::Absent, metadata.heap, 0),
        dma_memory: choose(&p.dma_memory, metadata.dma_memory, 0),
        physical: p.physical.good().and_then(|a| u64::try_from(a.value).ok()),
        vcpus,
        time_partition,
        priority: p
            .priority
            .good()
            .map_or(Derived::default(100), |x| Derived::written(u8::try_from(x.value).unwrap_or(u8::MAX))),
        promise: rate(&p.promise),
        limit: rate(&p.limit),
        health: if p.health.is_written() { Derived::written(health) } else { Derived::default(health) },
        start: match p.start.good() {
            Some(s) if s.value == "idle" => Derived::written(Start::Idle),
            Some(_) => Derived::written(Start::Auto),
            None => Derived::default(Start::Auto),
        },
        may: rights(order, p),
        devices: devices(order, p.devices.good().map(|l| l.value.as_slice()).unwrap_or_default())?,
        dma_trusted: p.dma.good().is_some_and(|d| d.value == "trusted"),
        ports: Vec::new(),
        shared: Vec::new(),
        console: None,
        places: Places {
            head: Some(p.table.head),
            program: p.elf.place().or(p.krate.place()).or(p.guest.as_ref().and_then(|g| g.kernel.place())),
            memory: p.memory.place(),
            stack: p.stack.place(),
            dma_memory: p.dma_memory.place(),
            physical: p.physical.place(),
            initrd: p.guest.as_ref().and_then(|g| g.initrd.place()),
        },
    })
}

fn program(package: &crate::environment::Package, p: &Written) -> Option<Program> {
    Some(Program::Crate {
        package: package.name.clone(),
        bin: package.bins.first()?.clone(),
        features: p.features.good().map(|l| l.value.iter().map(|f| f.value.text.clone()).collect()).unwrap_or_default(),
        manifest: package.manifest.clone(),
    })
}

fn devices(order: &Order, named: &[At<Text>]) -> Option<Vec<DeviceIndex>> {
    let mut out = named.iter().map(|d| order.device(&d.value.text)).collect::<Option<Vec<_>>>()?;
    out.sort_unstable();
    Some(out)
}

fn rights(order: &Order, p: &Written) -> Rights {
    let own = order.partition(&p.name.value);
    let list = |f: &Field<Vec<At<Text>>>, itself: bool| {
        let mut out: Vec<PartitionIndex> = f
            .good()
            .into_iter()
            .flat_map(|l| &l.value)
            .flat_map(|n| order.named(&n.value.text))
            .filter(|i| itself || Some(*i) != own)
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    };
    let mut schedules: Vec<ScheduleIndex> = Vec::new();
    for name in p.may.switch_schedule.good().into_iter().flat_map(|l| &l.value) {
        if name.value.text == "*" {
            schedules.extend((0..order.schedules.len()).map(ScheduleIndex));
        } else {
            schedules.extend(order.schedule(&name.value.text));
        }
    }
    schedules.sort_unstable();
    schedules.dedup();
    let mut module: Vec<ModuleRight> = p
        .may
        .module
        .good()
        .into_iter()
        .flat_map(|l| &l.value)
        .map(|m| if m.value.text == "reset" { ModuleRight::Reset } else { ModuleRight::Stop })
        .collect();
    module.sort_unstable();
    module.dedup();
    Rights {
        switch_schedule: schedules,
        start_stop: list(&p.may.start_stop, false),
        statistics: list(&p.may.statistics, true),
        trace: list(&p.may.trace, true),
        module,
    }
}

/// The console partition that the tool adds where none is described.
pub(super) fn console(cx: &Ctx<'_>, order: &Order) -> Option<Partition> {
    let uart = order.added_console.as_ref()?;
    let why = "no console is described";
    let package = cx.facts.all_packages.iter().find(|p| p.name == "console");
    let metadata = package.map_or_else(Metadata::default, |p| p.metadata.clone());
    let program = Program::Crate {
        package: "console".to_owned(),
        bin: package.and_then(|p| p.bins.first().cloned()).unwrap_or_else(|| "console".to_owned()),
        features: Vec::new(),
        manifest: package.map_or_else(|| cx.env.root.join("Cargo.toml"), |p| p.manifest.clone()),
    };
    Some(Partition {
        name: "console".to_owned(),
        derived: true,
        program: Derived::from(program, why),
        guest: None,
        config: String::new(),
        fp: choose(&Field::Absent, metadata.fp, true),
        memory: Derived::from(None, "what the program needs"),
        stack: choose(&Field::Absent, metadata.stack, STACK),
        heap: choose(&Field::Absent, metadata.heap, 0),
        dma_memory: choose(&Field::Absent, metadata.dma_memory, 0),
        physical: None,
        vcpus: Derived::from(vec![Vcpu { core: 0 }], "core 0: time partition 0"),
        time_partition: Derived::from(TimePartitionIndex::ZERO, why),
        priority: Derived::default(100),
        promise: None,
        limit: None,
        health: Derived::default(order.health("default")?),
        start: Derived::default(Start::Auto),
        may: Rights::default(),
        devices: vec![order.device(uart)?],
        dma_trusted: false,
        ports: Vec::new(),
        shared: Vec::new(),
        console: None,
        places: Places::default(),
    })
}

/// A free table as TOML text: dotted keys, one per line, sorted.
fn toml_of(table: &Table) -> String {
    let mut lines = Vec::new();
    flatten("", table, &mut lines);
    lines.sort();
    lines.concat()
}

fn flatten(prefix: &str, table: &Table, lines: &mut Vec<String>) {
    for (key, node) in &table.entries {
        let name = format!("{prefix}{}", toml_key(&key.name));
        match &node.value {
            Value::Table(inner) => flatten(&format!("{name}."), inner, lines),
            value => lines.push(format!("{name} = {}\n", toml_value(value))),
        }
    }
}

fn toml_key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::String { text, .. } => quoted(text),
        Value::Integer(n) => n.unwrap_or(i64::MAX).to_string(),
        Value::Float(text) | Value::Datetime(text) => text.clone(),
        Value::Boolean(b) => b.to_string(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|i| toml_value(&i.value)).collect::<Vec<_>>().join(", "))
        }
        Value::Table(t) => {
            let inner: Vec<String> =
                t.entries.iter().map(|(k, n)| format!("{} = {}", toml_key(&k.name), toml_value(&n.value))).collect();
            format!("{{ {} }}", inner.join(", "))
        }
    }
}
