// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Lowering of small systems, on both boards, up to the kernel's own boot.

mod any;
mod pci;
mod share;
mod system;

use super::*;
use crate::model::{Arch, Guest, PartitionIndex, Port, QueuingIndex, SamplingIndex, SharedIndex, SharedPort};
use parzelle_plan::{Plan, SPACE_GUEST, WRITE};
use system::{Parts, queuing, sampling, shared, small};
use zerocopy::IntoBytes;

const KERNEL_BYTES: u64 = 0x3_0000;

/// A program of one page of code, some data, some zeros.
fn program(base: u64) -> Program {
    let segment = |address, bytes: &[u8], size, write, execute| Segment {
        address,
        bytes: bytes.to_vec(),
        size,
        write,
        execute,
        retained: false,
    };
    Program {
        entry: base,
        segments: vec![
            segment(base, &[1; 100], 100, false, true),
            segment(base + 0x1000, &[2; 64], 64, false, false),
            segment(base + 0x2000, &[3; 16], 0x1800, true, false),
        ],
    }
}

fn loader() -> Program {
    let mut loader = program(parzelle_abi::info::layout::LOADER);
    loader.segments.truncate(1);
    loader
}

fn lowered(system: &System) -> Result<Lowered, Failure> {
    let programs: Vec<Program> = system.partitions.iter().map(|_| program(0x40_0000)).collect();
    with(system, &programs)
}

fn with(system: &System, programs: &[Program]) -> Result<Lowered, Failure> {
    let guests: Vec<GuestFiles> =
        system.partitions.iter().map(|_| GuestFiles { kernel: vec![7; 5000], initrd: vec![8; 100] }).collect();
    lower(&Inputs {
        system,
        programs,
        guests: &guests,
        loader: &loader(),
        kernel: Kernel { load: system.board.kernel_load, bytes: KERNEL_BYTES },
    })
}

/// Reads a plan for the rest of the test.
fn read(lowered: &Lowered) -> Plan<'static> {
    let mut words = vec![0u64; lowered.plan.len() / 8];
    words.as_mut_bytes().copy_from_slice(&lowered.plan);
    Plan::read(words.leak().as_bytes()).unwrap()
}

/// The code of the one finding.
fn code(outcome: Result<Lowered, Failure>) -> &'static str {
    match outcome {
        Err(Failure::Findings(found)) if found.len() == 1 => found[0].code,
        other => panic!("not one finding: {other:?}"),
    }
}

#[test]
fn a_small_system_lowers_on_both_boards_and_twice_the_same() {
    for arch in [Arch::Aarch64, Arch::X86_64] {
        let system = small(arch, Parts::default());
        let first = lowered(&system).unwrap();
        assert_eq!(first, lowered(&system).unwrap());
        let plan = read(&first);
        assert_eq!(plan.partitions().len(), 3);
        let image = plan.system.image + plan.system.image_bytes;
        let end = system.board.kernel_load + KERNEL_BYTES + (first.plan.len() + first.payload.len()) as u64;
        assert_eq!(image, end);
    }
}

#[test]
fn memory_of_records_lies_apart() {
    for arch in [Arch::Aarch64, Arch::X86_64] {
        let plan = read(&lowered(&small(arch, Parts::default())).unwrap());
        let mut end = plan.system.image + plan.system.image_bytes;
        for record in plan.memory() {
            assert!(record.address >= end, "{} at {:#x}", record.name.as_str(), record.address);
            end = record.address + record.bytes;
        }
        for vcpu in plan.vcpus() {
            assert!(vcpu.context < vcpu.page && vcpu.page - vcpu.context >= PAGE);
        }
    }
}

#[test]
fn links_have_ends_on_both_sides() {
    let mut system = small(Arch::Aarch64, Parts::default());
    system.sampling = vec![sampling("speed", 1, vec![2])];
    system.queuing = vec![queuing("orders", 2, 1)];
    system.shared = vec![shared("frames", vec![1], vec![2])];
    system.partitions[1].ports = vec![
        Port::QueuingDestination { name: "orders".into(), link: QueuingIndex(0) },
        Port::SamplingSource { name: "speed".into(), link: SamplingIndex(0) },
    ];
    system.partitions[2].ports = vec![
        Port::QueuingSource { name: "orders".into(), link: QueuingIndex(0) },
        Port::SamplingDestination { name: "speed".into(), link: SamplingIndex(0) },
    ];
    for (index, writable) in [(1, true), (2, false)] {
        let port = SharedPort { name: "frames".into(), link: SharedIndex(0), writable };
        system.partitions[index].shared = vec![port];
    }
    let plan = read(&lowered(&system).unwrap());
    let [speed, orders] = plan.channels() else { panic!("two channels") };
    assert_eq!(plan.ports()[speed.writer as usize].channel, 0);
    let readers = &plan.channel_readers()[orders.readers.range()];
    assert_eq!(readers.len(), 1);
    assert_eq!(plan.ports()[readers[0] as usize].channel, 1);
    let buffers: Vec<_> =
        plan.kernel_maps().iter().filter(|m| m.address <= speed.buffer && speed.buffer < m.address + m.bytes).collect();
    assert_eq!(buffers.len(), 1, "one map of the kernel's on aarch64");
    let views: Vec<u32> = plan
        .regions()
        .iter()
        .filter(|region| region.name.as_str() == "frames")
        .map(|region| region.access & WRITE)
        .collect();
    assert_eq!(views, [WRITE, 0]);
    let pair = [1usize, 2].map(|index| plan.partitions()[index].doorbells.count);
    assert_eq!(pair, [2, 2], "one for the memory, one for the log");
    assert_eq!(plan.peers()[plan.partitions()[1].peers.range()], [2]);
}

#[test]
fn a_guest_has_its_memory_twice() {
    let mut system = small(Arch::Aarch64, Parts::default());
    system.partitions[2].memory.value = Some(32 << 20);
    system.partitions[2].guest = Some(Guest {
        kernel: "vmlinuz".into(),
        initrd: None,
        cmdline: "quiet".into(),
        page_tables: crate::model::Derived::default(0),
        tune: false,
    });
    let plan = read(&lowered(&system).unwrap());
    let guest: Vec<_> = plan.regions().iter().filter(|region| region.space == SPACE_GUEST).collect();
    assert_eq!(guest.len(), 1);
    assert_eq!((guest[0].address, guest[0].bytes), (0x4000_0000, 32 << 20));
    let host = plan.regions().iter().find(|region| region.name.as_str() == "guest memory").unwrap();
    assert_eq!(host.physical, guest[0].physical);
    system.board.options.insert("gic".into(), OptionValue::Number(2));
    assert_eq!(code(lowered(&system)), "PZ0012");
    system.board.options.clear();
    system.partitions[2].memory.value = Some(1 << 20);
    assert_eq!(code(lowered(&system)), "PZ0306");
}

#[test]
fn a_guest_on_x86_64_leaves_the_lower_half_to_its_operating_system() {
    use parzelle_abi::info::layout;
    use parzelle_abi::x86_64::{SHIM, SHIM_END, VECTORS};
    use parzelle_plan::{EXECUTE, VCPU_FP, VCPU_GUEST};
    let mut system = small(Arch::X86_64, Parts::default());
    system.partitions[2].memory.value = Some(32 << 20);
    system.partitions[2].fp.value = false;
    system.partitions[2].guest = Some(Guest {
        kernel: "vmlinuz".into(),
        initrd: None,
        cmdline: "quiet".into(),
        page_tables: crate::model::Derived::default(1 << 20),
        tune: false,
    });
    let programs = [program(0x40_0000), program(0x40_0000), program(VECTORS)];
    let plan = read(&with(&system, &programs).unwrap());
    let partition = plan.partitions()[2];
    assert_eq!((partition.entry, partition.info), (SHIM + layout::LOADER, SHIM + layout::INFO));
    let mut guest = Vec::new();
    for region in &plan.regions()[partition.regions.range()] {
        if region.space == SPACE_GUEST {
            guest.push(*region);
        } else {
            let range = region.address..region.address + region.bytes;
            assert!(SHIM <= range.start && range.end <= SHIM_END, "{} at {:#x}", region.name.as_str(), range.start);
        }
    }
    let [ram] = guest[..] else { panic!("one range") };
    assert_eq!((ram.address, ram.bytes, ram.access & EXECUTE), (0, 32 << 20, EXECUTE));
    let vcpu = plan.vcpus().iter().find(|vcpu| vcpu.partition == 2).unwrap();
    assert_eq!((vcpu.flags, vcpu.page_virtual), (VCPU_FP | VCPU_GUEST, SHIM + layout::VCPU_PAGES));
    assert!(vcpu.stack > SHIM && vcpu.page - vcpu.context == 2 * PAGE);
    assert_eq!(partition.tables_bytes, 1 << 20);
    // The service reads the guest's memory, and writes the pool.
    let maps = &plan.kernel_maps()[partition.kernel_maps.range()];
    for (start, bytes) in [(ram.physical, ram.bytes), (partition.tables, partition.tables_bytes)] {
        let within = |map: &&parzelle_plan::KernelMapRecord| {
            map.address <= start && start + bytes <= map.address + map.bytes && map.access & WRITE != 0
        };
        assert!(maps.iter().any(|map| within(&map)), "{start:#x}");
    }
    let pool = plan.memory().iter().find(|record| record.address == partition.tables).unwrap();
    assert_eq!((pool.bytes, pool.zero, pool.partition), (1 << 20, 1, 2));
}

#[test]
fn what_can_not_be_placed_is_a_finding() {
    let mut system = small(Arch::Aarch64, Parts::default());
    system.partitions[1].memory.value = Some(8192);
    assert_eq!(code(lowered(&system)), "PZ0302");
    system.partitions[1].memory.value = Some(4 << 30);
    assert_eq!(code(lowered(&system)), "PZ0301");
    system.partitions[1].memory.value = None;
    system.partitions[1].physical = Some(0x1000);
    assert_eq!(code(lowered(&system)), "PZ0304");
    system.partitions[1].physical = Some(0x5000_0000);
    assert!(lowered(&system).is_ok());
    system.partitions[2].physical = Some(0x5000_1000);
    assert_eq!(code(lowered(&system)), "PZ0303");
    system.partitions[2].physical = None;
    let programs = [program(0x40_0000), program(0x8000_1000), program(0x40_0000)];
    assert_eq!(code(with(&system, &programs)), "PZ0310");
}

#[test]
fn bounds_of_the_kernel_are_findings() {
    let mut system = small(Arch::Aarch64, Parts::default());
    system.sampling = vec![sampling("large", 1, vec![2])];
    system.sampling[0].message_size = 4096;
    for (index, port) in [
        (1, Port::SamplingSource { name: "large".into(), link: SamplingIndex(0) }),
        (2, Port::SamplingDestination { name: "large".into(), link: SamplingIndex(0) }),
    ] {
        system.partitions[index].ports = vec![port];
    }
    assert_eq!(code(lowered(&system)), "PZ0012");
    let mut system = small(Arch::Aarch64, Parts::default());
    system.partitions[1].vcpus.value = vec![crate::model::Vcpu { core: 0 }; 100];
    assert_eq!(code(lowered(&system)), "PZ0012");
}

#[test]
fn two_hundred_partitions_fit() {
    for arch in [Arch::Aarch64, Arch::X86_64] {
        let mut system = small(arch, Parts::default());
        let one = system.partitions[2].clone();
        for number in 0..200 {
            let mut next = one.clone();
            next.name = format!("p-{number}");
            system.partitions.push(next);
            system.consoles[0].members.push(PartitionIndex(3 + number));
        }
        let plan = read(&lowered(&system).unwrap());
        assert_eq!(plan.partitions().len(), 203);
    }
}

#[test]
fn windows_keep_what_is_written_of_their_begin_and_end() {
    use crate::model::Window;
    use parzelle_plan::{WINDOW_FLUSH, WINDOW_NO_SLACK};
    let mut system = small(Arch::Aarch64, Parts::default());
    let whole = system.schedules[0].cores[0].windows[0];
    let half = whole.duration / 2;
    let sealed = Window { duration: half, slack: false, flush: true, pad: 20_000, ..whole };
    system.schedules[0].cores[0].windows = vec![sealed, Window { start: half, duration: half, ..whole }];
    let plan = lowered(&system).unwrap();
    let found: Vec<_> = read(&plan).windows().iter().map(|window| (window.flags, window.pad)).collect();
    assert_eq!(found, [(WINDOW_NO_SLACK | WINDOW_FLUSH, 20_000), (0, 0)]);
}
