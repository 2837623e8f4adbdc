// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The memory map: physical, then each space.

use parzelle_plan::{DEVICE, DMA, EXECUTE, MemoryRecord, NONE, PartitionRecord, Plan, READ, SPACE_GUEST, WRITE};

use super::{partition, size};

/// Prints it.
pub(super) fn print(plan: &Plan<'_>) {
    let system = plan.system;
    println!("\nPhysical memory");
    row(system.image, system.image_bytes, "kernel", "image: kernel, plan, programs");
    for record in plan.memory() {
        row(record.address, record.bytes, &whose(plan, record), record.name.as_str());
    }
    for record in plan.partitions() {
        println!("\nSpaces of {}", record.name.as_str());
        for region in plan.regions().get(record.regions.range()).unwrap_or(&[]) {
            let flag = |bit: u32, letter| {
                if region.access & bit != 0 { letter } else { '-' }
            };
            println!(
                "  {}{:#012x}  {:>10}  {}{}{}{}{}  at {:#011x}  {}",
                if region.space == SPACE_GUEST { "guest " } else { "" },
                region.address,
                size(region.bytes),
                flag(READ, 'r'),
                flag(WRITE, 'w'),
                flag(EXECUTE, 'x'),
                flag(DEVICE, 'd'),
                flag(DMA, 'm'),
                region.physical,
                region.name.as_str(),
            );
        }
    }
}

/// Whose memory it is: a partition's, that of the two ends of something, or the kernel's.
fn whose(plan: &Plan<'_>, record: &MemoryRecord) -> String {
    if record.partition != NONE {
        return partition(plan, record.partition);
    }
    let maps = |owner: &&PartitionRecord| {
        let regions = plan.regions().get(owner.regions.range()).unwrap_or(&[]);
        regions.iter().any(|region| region.physical == record.address)
    };
    let buffers = |owner: &&PartitionRecord| {
        let ports = plan.ports().get(owner.ports.range()).unwrap_or(&[]);
        let channels = ports.iter().filter_map(|port| plan.channels().get(port.channel as usize));
        channels.into_iter().any(|channel| channel.buffer == record.address)
    };
    let users = plan.partitions().iter().filter(|owner| maps(owner) || buffers(owner));
    let users: Vec<&str> = users.map(|user| user.name.as_str()).collect();
    if users.is_empty() { "kernel".to_owned() } else { users.join(", ") }
}

fn row(address: u64, bytes: u64, who: &str, what: &str) {
    println!("  {address:#011x}–{:#011x}  {:>10}  {what:<20} {who}", address + bytes, size(bytes));
}
