// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Whatever the checker lets through: it lowers, the kernel boots it, the fence holds (`prove` runs
//! in each lowering), and the second time gives the same bytes.

use super::system::{Parts, queuing, sampling, shared, small};
use super::*;
use crate::model::{CoreSchedule, TimePartition, TimePartitionIndex, Vcpu, Window};
use proptest::prelude::*;

const CORES: u32 = 3;
const FRAME: u64 = 12_000_000;

/// What a random partition is like.
#[derive(Clone, Debug)]
struct Shape {
    cores: Vec<u32>,
    windows: bool,
    priority: u8,
    stack: u64,
    memory: Option<u64>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let cores = prop::collection::vec(0..CORES, 1..4);
    let memory = prop::option::of(100u64..2000);
    (cores, any::<bool>(), any::<u8>(), 1u64..9, memory).prop_map(|(cores, windows, priority, stack, memory)| Shape {
        cores,
        windows,
        priority,
        stack: stack * 4000,
        memory: memory.map(|kib| (kib << 10) + (1 << 20)),
    })
}

/// A system of these partitions beside the console; links by pairs of numbers.
fn system(arch: Arch, shapes: &[Shape], links: &[(usize, usize, u8)]) -> System {
    let mut system = small(arch, Parts::default());
    system.cores = CORES;
    let pattern = system.partitions[1].clone();
    system.partitions.truncate(1);
    system.consoles[0].members.clear();
    let mut windows: Vec<Vec<usize>> = vec![Vec::new(); CORES as usize];
    for (index, shape) in shapes.iter().enumerate() {
        let number = index + 1;
        let mut partition = pattern.clone();
        partition.name = format!("p{number}");
        partition.priority.value = shape.priority;
        partition.stack.value = shape.stack;
        partition.memory.value = shape.memory;
        partition.vcpus.value = shape.cores.iter().map(|&core| Vcpu { core }).collect();
        if shape.windows {
            partition.time_partition.value = TimePartitionIndex(system.time_partitions.len());
            for (core, list) in windows.iter_mut().enumerate() {
                if shape.cores.contains(&(core as u32)) {
                    list.push(system.time_partitions.len());
                }
            }
            let members = vec![PartitionIndex(number)];
            system.time_partitions.push(TimePartition { name: partition.name.clone(), members });
        }
        system.consoles[0].members.push(PartitionIndex(number));
        system.partitions.push(partition);
    }
    let cores =
        windows.iter().enumerate().map(|(core, list)| CoreSchedule { core: core as u32, windows: contiguous(list) });
    system.schedules[0].frame = FRAME;
    system.schedules[0].cores = cores.collect();
    for (at, &(from, to, kind)) in links.iter().enumerate() {
        let (from, to) = (1 + from % shapes.len(), 1 + to % shapes.len());
        if from != to {
            link(&mut system, &format!("link-{at}"), from, to, kind);
        }
    }
    system
}

/// One window each, then time partition 0 to the frame's end.
fn contiguous(list: &[usize]) -> Vec<Window> {
    let zero = std::iter::once(0);
    let all = list.iter().copied().chain(zero);
    let each = FRAME / (list.len() as u64 + 1);
    all.enumerate()
        .map(|(number, time_partition)| {
            let start = each * number as u64;
            let duration = if number == list.len() { FRAME - start } else { each };
            Window {
                start,
                duration,
                time_partition: TimePartitionIndex(time_partition),
                slack: true,
                flush: false,
                pad: 0,
                written: None,
            }
        })
        .collect()
}

fn link(system: &mut System, name: &str, from: usize, to: usize, kind: u8) {
    let name = name.to_owned();
    match kind {
        0 => {
            let link = SamplingIndex(system.sampling.len());
            system.sampling.push(sampling(&name, from, vec![to]));
            system.partitions[from].ports.push(Port::SamplingSource { name: name.clone(), link });
            system.partitions[to].ports.push(Port::SamplingDestination { name, link });
        }
        1 => {
            let link = QueuingIndex(system.queuing.len());
            system.queuing.push(queuing(&name, from, to));
            system.partitions[from].ports.push(Port::QueuingSource { name: name.clone(), link });
            system.partitions[to].ports.push(Port::QueuingDestination { name, link });
        }
        _ => {
            let link = SharedIndex(system.shared.len());
            system.shared.push(shared(&name, vec![from], vec![to]));
            for (index, writable) in [(from, true), (to, false)] {
                let name = name.clone();
                system.partitions[index].shared.push(SharedPort { name, link, writable });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_system_lowers_and_boots(
        arm in any::<bool>(),
        shapes in prop::collection::vec(shape(), 1..7),
        links in prop::collection::vec((0usize..7, 0usize..7, 0u8..3), 0..10),
    ) {
        let arch = if arm { Arch::Aarch64 } else { Arch::X86_64 };
        let system = system(arch, &shapes, &links);
        let first = lowered(&system);
        prop_assert!(first.is_ok(), "{first:?}");
        prop_assert_eq!(first.ok(), lowered(&system).ok());
    }
}
