// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! STOPGAP: hello, by hand.
use std::path::Path;
use anyhow::{Result, bail};
use parzelle_resolve::model::*;
use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::source::{FileId, Place};

pub(crate) struct Checked { pub(crate) system: System }
impl Checked {
    pub(crate) fn print(&self, findings: &[Diagnostic]) {
        for f in findings { eprintln!("{f:#?}"); }
    }
}
pub(crate) fn system(_file: &Path, board: Option<&str>) -> Result<Option<Checked>> {
    let root = crate::house::root();
    let board = board.unwrap_or("qemu-virt-aarch64");
    let here = Place::new(FileId(0), 0..0);
    let r = |start, size| Region { start, size };
    let device = |name: &str, registers: Vec<Region>, ports: Vec<Region>, interrupts: Vec<u32>, owner| Device {
        name: name.into(), class: "uart".into(), registers, ports, interrupts, dma: Dma::None, owner, kernel: false, edge: false, head: here };
    let arm = match board { "qemu-virt-aarch64" => true, "qemu-q35-x86_64" => false, _ => bail!("no board") };
    let board = Board {
        name: board.into(), folder: root.join("bsp").join(board), arch: if arm { Arch::Aarch64 } else { Arch::X86_64 }, cores: 4,
        ram: vec![if arm { r(0x4000_0000, 1 << 30) } else { r(0, 1 << 30) }],
        reserved: vec![if arm { r(0x4000_0000, 2 << 20) } else { r(0x3fe0_0000, 2 << 20) }],
        tick: 1, shortest_window: 1, iommu: None, console: Some(DeviceIndex(0)),
        options: if arm { [("gic".to_owned(), OptionValue::Number(std::env::var("GIC").map_or(3, |g| g.parse().unwrap_or(3))))].into() } else { Default::default() },
        kernel_load: if arm { 0x4020_0000 } else { 0x20_0000 },
        irqchip: if arm { [("distributor", r(0x800_0000, 0x10000)), ("redistributor", r(0x80a_0000, 0x10_0000)), ("cpu", r(0x801_0000, 0x2000)), ("hypervisor", r(0x803_0000, 0x10000)), ("virtual-cpu", r(0x804_0000, 0x10000))].map(|(n, r)| (n.to_owned(), r)).into() } else { Default::default() },
        devices: vec![if arm { device("uart0", vec![r(0x900_0000, 0x1000)], vec![], vec![33], Some(PartitionIndex(0))) } else { device("uart0", vec![], vec![r(0x3f8, 8)], vec![4], Some(PartitionIndex(0))) }],
        run: Some(if arm { Run { command: "qemu-system-aarch64".into(), arguments: format!("-machine virt,virtualization=on,gic-version={} -cpu cortex-a57 -m 1G -smp 1 -nographic", std::env::var("GIC").unwrap_or("3".into())).split(' ').map(str::to_owned).collect() } }
          else { Run { command: "qemu-system-x86_64".into(), arguments: "-machine q35 -cpu qemu64,+fsgsbase,+rdtscp,+umip -m 1G -smp 1 -nographic -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=0x04".split(' ').map(str::to_owned).collect() } }),
        ram_place: None,
    };
    let part = |name: &str, folder: &str, fp, devices: Vec<DeviceIndex>, console| Partition {
        name: name.into(), derived: false,
        program: Derived::written(Program::Crate { package: name.into(), bin: name.into(), features: vec![], manifest: root.join(folder).join("Cargo.toml") }),
        guest: None, config: String::new(), fp: Derived::default(fp), memory: Derived::default(None), stack: Derived::default(65536), heap: Derived::default(0), dma_memory: Derived::default(0),
        physical: None, vcpus: Derived::default(vec![Vcpu { core: 0 }]), time_partition: Derived::default(TimePartitionIndex(0)), priority: Derived::default(100), promise: None, limit: None,
        health: Derived::default(HealthIndex(0)), start: Derived::default(Start::Auto), may: Rights::default(), devices, dma_trusted: false, ports: vec![], shared: vec![], console, places: Places::default(),
    };
    let table = |name: &str| HealthTable { name: name.into(), actions: [Action::Stop; 8], otherwise: Action::Stop, restarts: Restarts { count: 5, within: 10_000_000_000 }, give_up: Action::Stop };
    Ok(Some(Checked { system: System {
        name: Derived::default("hello".into()), board, cores: 1, trace: Derived::default(65536),
        partitions: vec![part("console", "partitions/console", false, vec![DeviceIndex(0)], None), part("hello", "partitions/examples/hello", true, vec![], Some(ConsoleIndex(0)))],
        time_partitions: vec![TimePartition { name: "0".into(), members: vec![PartitionIndex(0), PartitionIndex(1)] }],
        schedules: vec![Schedule { name: "default".into(), derived: true, frame: 10_000_000, cores: vec![CoreSchedule { core: 0, windows: vec![Window { start: 0, duration: 10_000_000, time_partition: TimePartitionIndex(0), written: None }] }], change_actions: vec![], head: None }],
        first_schedule: Derived::default(ScheduleIndex(0)), start_order: vec![], sampling: vec![], queuing: vec![], shared: vec![], doorbells: vec![],
        consoles: vec![Console { name: "console".into(), derived: true, device: DeviceIndex(0), server: PartitionIndex(0), members: vec![PartitionIndex(1)] }],
        health: vec![table("default"), table("module")], module_health: HealthIndex(1),
    } }))
}
