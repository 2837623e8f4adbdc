// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The memory map: physical, then each space.

use parzelle_plan::{DEVICE, EXECUTE, Plan, READ, SPACE_GUEST, WRITE};

use super::{partition, size};

/// Prints it.
pub(super) fn print(plan: &Plan<'_>) {
    let system = plan.system;
    println!("\nPhysical memory");
    row(system.image, system.image_bytes, "kernel", "image: kernel, plan, programs");
    for record in plan.memory() {
        row(record.address, record.bytes, &partition(plan, record.partition), record.name.as_str());
    }
    for record in plan.partitions() {
        println!("\nSpaces of {}", record.name.as_str());
        for region in plan.regions().get(record.regions.range()).unwrap_or(&[]) {
            let flag = |bit: u32, letter| {
                if region.access & bit != 0 { letter } else { '-' }
            };
            println!(
                "  {}{:#012x}  {:>10}  {}{}{}{}  at {:#011x}  {}",
                if region.space == SPACE_GUEST { "guest " } else { "" },
                region.address,
                size(region.bytes),
                flag(READ, 'r'),
                flag(WRITE, 'w'),
                flag(EXECUTE, 'x'),
                flag(DEVICE, 'd'),
                region.physical,
                region.name.as_str(),
            );
        }
    }
}

fn row(address: u64, bytes: u64, who: &str, what: &str) {
    println!("  {address:#011x}–{:#011x}  {:>10}  {who:<16} {what}", address + bytes, size(bytes));
}
