// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Writing the plan's records, once everything has a place.

use std::collections::{BTreeMap, BTreeSet};

use parzelle_abi::PAGE;
use parzelle_abi::info::layout;
use parzelle_plan::*;

use super::blocks::{Block, BlockId, NoRoom, free};
use super::cell::{Backing, Cell, Mapping};
use super::names::name;
use super::{Draft, Kernel, Sizes, gic, health, rights};
use crate::model::{Arch, Partition, Region, Start, System, TimePartitionIndex};

/// A window entered later than this counts as missed, in nanoseconds: L, and the switch of the
/// space (about 400 instructions; a nanosecond is an instruction where it is measured).
const LATE_TOLERANCE: u64 = parzelle_abi::MASKED_PATH_MAX as u64 + 400;

struct Writer<'a> {
    system: &'a System,
    draft: &'a Draft,
    places: &'a Places,
    plan: PlanBuilder,
}

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Places {
    placed: Vec<u64>,
    payload: u64,
    image_end: u64,
}

impl Places {
    /// Where a block lies.
    pub(crate) fn block(&self, id: BlockId) -> u64 {
        self.placed.get(id.0).copied().unwrap_or(0)
    }

    /// The physical address of what lies behind a mapping.
    pub(crate) fn physical(&self, backing: Backing) -> u64 {
        match backing {
            Backing::Image(offset) => self.payload + offset,
            Backing::Block(id, offset) => self.block(id) + offset,
            Backing::Device(address) => address,
        }
    }
}

/// Gives everything an address.
pub(crate) fn place(system: &System, draft: &Draft, kernel: Kernel, sizes: &Sizes) -> Result<Places, NoRoom> {
    let payload = kernel.load + kernel.bytes.next_multiple_of(PAGE) + sizes.plan.next_multiple_of(PAGE);
    let image_end = payload + draft.payload.bytes();
    let mut taken = system.board.reserved.clone();
    taken.push(Region { start: kernel.load, size: image_end - kernel.load });
    if system.board.arch == Arch::X86_64 {
        // The firmware's, and where other cores wake up.
        taken.push(Region { start: 0, size: 1 << 20 });
    }
    let placed = draft.blocks.place(free(&system.board.ram, &taken))?;
    Ok(Places { placed, payload, image_end })
}

/// Writes the records.
pub(crate) fn emit(system: &System, draft: &Draft, kernel: Kernel, places: &Places) -> PlanBuilder {
    let image_end = places.image_end;
    let mut writer = Writer { system, draft, places, plan: PlanBuilder::default() };
    writer.system(kernel, image_end);
    writer.cores();
    draft.order.put_schedules(system, &mut writer.plan);
    writer.vcpus();
    for (index, (partition, cell)) in system.partitions.iter().zip(&draft.cells).enumerate() {
        writer.partition(index, partition, cell);
    }
    writer.channels();
    writer.plan.health = system.health.iter().map(health::record).collect();
    writer.memory();
    writer.segments();
    writer.kernel_maps();
    writer.plan
}

/// Appends to a table and says where.
fn put<T>(table: &mut Vec<T>, records: impl IntoIterator<Item = T>) -> Span {
    let first = table.len() as u32;
    table.extend(records);
    Span { first, count: table.len() as u32 - first }
}

impl Writer<'_> {
    fn block(&self, id: BlockId) -> u64 {
        self.places.block(id)
    }

    fn physical(&self, backing: Backing) -> u64 {
        self.places.physical(backing)
    }

    fn bytes(&self, id: BlockId) -> u64 {
        self.draft.blocks.get(id).map_or(0, Block::bytes)
    }

    fn system(&mut self, kernel: Kernel, image_end: u64) {
        let board = &self.system.board;
        let registers = |name: &str, default| board.irqchip.get(name).map_or(default, |region| region.start);
        let version = gic(board);
        let console = board.console.and_then(|index| board.devices.get(index.0));
        let console = console.and_then(|device| device.registers.first().or(device.ports.first()));
        let (distributor, cpu) = match (board.arch, version) {
            (Arch::Aarch64, 2) => (registers("distributor", 0), registers("cpu", 0)),
            (Arch::Aarch64, _) => (registers("distributor", 0), registers("redistributor", 0)),
            // Intel SDM volume 3, §11.4.1; ICH9 datasheet, §13.5.
            (Arch::X86_64, _) => (registers("local-apic", 0xfee0_0000), registers("io-apic", 0xfec0_0000)),
        };
        // The kernel drives this kind only.
        let iommu = board.devices.iter().find(|device| device.kernel && device.name == "iommu");
        let iommu =
            iommu.filter(|_| board.iommu.as_deref() == Some("vt-d")).and_then(|device| device.registers.first());
        let (arena, tables) = (self.draft.arena, self.draft.tables);
        self.plan.system = SystemRecord {
            name: name(&self.system.name.value),
            board: name(&board.name),
            arch: u32::from(board.arch.elf_machine()),
            first_schedule: self.system.first_schedule.value.0 as u32,
            late_tolerance: LATE_TOLERANCE,
            image: kernel.load,
            image_bytes: image_end - kernel.load,
            arena: self.block(arena),
            arena_bytes: self.bytes(arena),
            tables: self.block(tables),
            tables_bytes: self.bytes(tables),
            irqchip: if board.arch == Arch::Aarch64 { version } else { 0 },
            start_first: self.system.start_order.first().map_or(NONE, |first| first.0 as u32),
            irqchip_base: distributor,
            irqchip_cpu: cpu,
            irqchip_hyp: if version == 2 { registers("hypervisor", 0) } else { 0 },
            irqchip_vcpu: if version == 2 { registers("virtual-cpu", 0) } else { 0 },
            iommu: iommu.map_or(0, |region| region.start),
            console: console.map_or(0, |region| region.start),
            module_health: self.system.module_health.0 as u32,
            ..SystemRecord::default()
        };
    }

    fn cores(&mut self) {
        for (&(queues, vcpus), &ring) in self.draft.order.cores.iter().zip(&self.draft.rings) {
            let (trace, trace_bytes) = (self.block(ring), self.bytes(ring));
            self.plan.cores.push(CoreRecord { queues, vcpus, trace, trace_bytes });
        }
        self.plan.queues = self.draft.order.queues.clone();
    }

    fn vcpus(&mut self) {
        for slot in &self.draft.order.vcpus {
            let all = self.draft.cells.get(slot.partition).zip(self.system.partitions.get(slot.partition));
            let Some((cell, partition)) = all else {
                continue;
            };
            let number = slot.number as u64;
            let count = partition.vcpus.value.len() as u64;
            let home = cell.home.map_or(0, |home| self.block(home));
            let mut flags = 0;
            if fp(partition, self.system.board.arch) {
                flags |= VCPU_FP;
            }
            if partition.guest.is_some() {
                flags |= VCPU_GUEST;
            }
            self.plan.vcpus.push(VcpuRecord {
                partition: slot.partition as u32,
                index: slot.number as u32,
                core: slot.core,
                queue: slot.queue,
                priority: u32::from(slot.priority),
                flags,
                budget: partition.limit.map_or(0, |limit| limit.time),
                period: partition.limit.map_or(0, |limit| limit.period),
                page: home + count * cell.context_bytes + number * PAGE,
                page_virtual: cell.base + layout::VCPU_PAGES + number * PAGE,
                context: home + number * cell.context_bytes,
                stack: cell.stack_top - number * cell.stack_stride,
            });
        }
    }

    fn partition(&mut self, index: usize, partition: &Partition, cell: &Cell) {
        let order = &self.draft.order;
        let hears = order.first_vcpu(index);
        let mut mappings: Vec<&Mapping> = cell.mappings.iter().collect();
        mappings.sort_by_key(|mapping| (mapping.space, mapping.address));
        let regions: Vec<RegionRecord> = mappings
            .iter()
            .map(|mapping| RegionRecord {
                address: mapping.address,
                physical: self.physical(mapping.backing),
                bytes: mapping.bytes,
                access: mapping.access,
                space: mapping.space,
                name: name(&mapping.name),
            })
            .collect();
        let mut flags = 0;
        if partition.start.value == Start::Idle {
            flags |= PARTITION_IDLE;
        }
        if partition.time_partition.value != TimePartitionIndex::ZERO {
            flags |= PARTITION_REALTIME;
        }
        let turn = self.system.start_order.iter().position(|entry| entry.0 == index);
        if turn.is_some_and(|turn| turn > 0) {
            flags |= PARTITION_WAITS;
        }
        let next = turn.and_then(|turn| self.system.start_order.get(turn + 1));
        let ports = cell.ports.iter().map(|port| PortRecord { vcpu: hears, ..*port });
        let bells = cell.bells.iter().map(|bell| DoorbellRecord { vcpu: order.first_vcpu(bell.to), event: bell.event });
        let lines = cell.lines.iter().map(|line| LineRecord {
            line: line.line,
            vcpu: hears,
            event: line.event,
            flags: if line.edge { LINE_EDGE } else { 0 },
            entry: line.entry,
            source: line.source,
            reserved: 0,
        });
        let numbers = order.of.get(index).cloned().unwrap_or_default();
        let plan = &mut self.plan;
        let record = PartitionRecord {
            name: name(&partition.name),
            vcpus: put(&mut plan.partition_vcpus, numbers),
            regions: put(&mut plan.regions, regions),
            ports: put(&mut plan.ports, ports),
            doorbells: put(&mut plan.doorbells, bells),
            lines: put(&mut plan.lines, lines),
            rights: put(&mut plan.rights, rights::records(&partition.may)),
            peers: put(&mut plan.peers, cell.peers.iter().copied()),
            quiesces: put(&mut plan.quiesces, cell.quiesces.iter().copied()),
            streams: put(&mut plan.streams, cell.streams.iter().copied()),
            io_ports: put(&mut plan.io_ports, io_ports(self.system, partition)),
            health: partition.health.value.0 as u32,
            start_next: next.map_or(NONE, |next| next.0 as u32),
            flags,
            entry: cell.base + self.draft.loader_entry,
            info: cell.base + layout::INFO,
            tables: cell.tables.map_or(0, |pool| self.places.block(pool)),
            tables_bytes: cell.tables.and_then(|pool| self.draft.blocks.get(pool)).map_or(0, Block::bytes),
            ..PartitionRecord::default()
        };
        plan.partitions.push(record);
        plan.setups.extend(&cell.setups);
    }

    fn channels(&mut self) {
        // Port records, by channel: the writer, the readers.
        let mut ends: BTreeMap<u32, (u32, Vec<u32>)> = BTreeMap::new();
        for (number, port) in self.plan.ports.iter().enumerate() {
            let entry = ends.entry(port.channel).or_insert((NONE, Vec::new()));
            if port.direction == SOURCE {
                entry.0 = number as u32;
            } else {
                entry.1.push(number as u32);
            }
        }
        for (index, channel) in self.draft.channels.iter().enumerate() {
            let (writer, readers) = ends.remove(&(index as u32)).unwrap_or((NONE, Vec::new()));
            let readers = put(&mut self.plan.channel_readers, readers);
            let buffer = self.block(channel.buffer);
            self.plan.channels.push(ChannelRecord {
                name: name(&channel.name),
                kind: channel.kind,
                message_bytes: channel.message_bytes,
                depth: channel.depth,
                writer,
                readers,
                refresh: channel.refresh,
                buffer,
            });
        }
    }

    fn memory(&mut self) {
        for (block, &start) in self.draft.blocks.all().iter().zip(&self.places.placed) {
            let mut address = start;
            for part in &block.parts {
                self.plan.memory.push(MemoryRecord {
                    address,
                    bytes: part.bytes,
                    partition: block.partition.map_or(NONE, |partition| partition as u32),
                    zero: u32::from(part.zero),
                    name: name(&part.name),
                });
                address += part.bytes;
            }
        }
        self.plan.memory.sort_by_key(|record| record.address);
    }

    fn segments(&mut self) {
        self.plan.segments.extend(self.draft.payload.parts().iter().map(|part| SegmentRecord {
            name: name(&part.name),
            address: self.places.payload + part.offset,
            bytes: part.bytes.len() as u64,
            digest: part.digest,
        }));
    }

    /// What the kernel maps for itself: contexts, and all memory from which or to which it may
    /// have to copy a message. On aarch64, where all partitions have one map of the kernel's, what
    /// several of them share stands there once.
    fn kernel_maps(&mut self) {
        let mut users: BTreeMap<BlockId, BTreeSet<usize>> = BTreeMap::new();
        for (index, cell) in self.draft.cells.iter().enumerate() {
            for mapping in &cell.mappings {
                if let Backing::Block(block, _) = mapping.backing {
                    users.entry(block).or_default().insert(index);
                }
            }
        }
        for (index, cell) in self.draft.cells.iter().enumerate() {
            users.extend(cell.tables.map(|pool| (pool, BTreeSet::from([index]))));
        }
        for channel in &self.draft.channels {
            users.entry(channel.buffer).or_default().extend(&channel.ends);
        }
        let common: Vec<BlockId> = self.draft.rings.clone();
        let one_map = self.system.board.arch == Arch::Aarch64;
        let mut ranges: BTreeSet<(u32, u64, u64, u32)> = BTreeSet::new();
        for &block in &common {
            let readers = users.remove(&block).unwrap_or_default();
            if !one_map {
                // Whoever reads a ring may also send from it.
                ranges.extend(readers.iter().map(|&p| (p as u32, self.block(block), self.bytes(block), READ)));
            }
            ranges.insert((NONE, self.block(block), self.bytes(block), READ | WRITE));
        }
        if !one_map {
            // On aarch64 the image is there for all; here each partition's part of it must stand
            // in the window through which the kernel copies for that partition.
            for (index, cell) in self.draft.cells.iter().enumerate() {
                let parts = cell.mappings.iter().filter(|mapping| matches!(mapping.backing, Backing::Image(_)));
                ranges.extend(parts.map(|m| (index as u32, self.physical(m.backing), m.bytes, READ)));
            }
        }
        let pages = self.draft.cells.iter().flat_map(|cell| &cell.kernel_pages);
        ranges.extend(pages.map(|&page| (NONE, page, PAGE, READ | WRITE | DEVICE)));
        for (block, partitions) in users {
            let (start, bytes) = (self.block(block), self.bytes(block));
            if bytes == 0 {
                continue;
            }
            if one_map && partitions.len() > 1 {
                ranges.insert((NONE, start, bytes, READ | WRITE));
                continue;
            }
            ranges.extend(partitions.iter().map(|&partition| (partition as u32, start, bytes, READ | WRITE)));
        }
        let mut maps: Vec<KernelMapRecord> = Vec::new();
        for (partition, address, bytes, access) in ranges {
            let behind = |last: &&mut KernelMapRecord| {
                (last.partition, last.access) == (partition, access) && last.address + last.bytes == address
            };
            match maps.last_mut().filter(behind) {
                Some(last) => last.bytes += bytes,
                None => maps.push(KernelMapRecord { address, bytes, access, partition }),
            }
        }
        for (index, record) in self.plan.partitions.iter_mut().enumerate() {
            let mine = |map: &&KernelMapRecord| map.partition == index as u32;
            let first = maps.iter().take_while(|map| map.partition < index as u32).count();
            let count = maps.iter().filter(mine).count();
            record.kernel_maps = Span { first: first as u32, count: count as u32 };
        }
        self.plan.kernel_maps = maps;
    }
}

/// Whether the kernel keeps FP/SIMD registers for a partition. A guest on x86-64 has them while its
/// shim, which uses none, runs beside it; on aarch64 they are part of the guest context.
fn fp(partition: &Partition, arch: Arch) -> bool {
    partition.fp.value || partition.guest.is_some() && arch == Arch::X86_64
}

/// A partition's I/O ports, sorted.
fn io_ports(system: &System, partition: &Partition) -> Vec<IoPortsRecord> {
    let devices = partition.devices.iter().filter_map(|index| system.board.devices.get(index.0));
    let mut ports: Vec<IoPortsRecord> = devices
        .flat_map(|device| &device.ports)
        .map(|range| IoPortsRecord { first: range.start as u32, count: range.size as u32 })
        .collect();
    ports.sort_by_key(|range| range.first);
    ports
}
