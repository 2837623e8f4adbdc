// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A partition's addresses, made physical. The kernel reaches partition memory only by what
//! comes out here: a range that lies in one region of the plan with the rights asked for.

use parzelle_abi::PAGE;
use parzelle_abi::call::Error;
use parzelle_plan::{DEVICE, Plan, RegionRecord, SPACE_HOST};

/// Finds the physical address of `[address, address + bytes)` in the host space of `partition`.
/// `hint` is where the last search ended, and is updated.
///
/// # Errors
/// [`Error::InvalidAddress`] when no region holds the whole range with `access`, or a device's does.
pub(crate) fn locate(
    plan: &Plan<'_>,
    partition: usize,
    address: u64,
    bytes: u64,
    access: u32,
    hint: &mut u32,
) -> Result<u64, Error> {
    let regions = plan
        .partitions()
        .get(partition)
        .and_then(|record| plan.regions().get(record.regions.range()))
        .ok_or(Error::InvalidAddress)?;
    let end = address.checked_add(bytes).ok_or(Error::InvalidAddress)?;
    let holds = |region: &RegionRecord| {
        region.space == SPACE_HOST && region.address <= address && end <= region.address.saturating_add(region.bytes)
    };
    let region = match regions.get(*hint as usize) {
        Some(region) if holds(region) => region,
        _ => {
            let after = regions.partition_point(|region| region.space == SPACE_HOST && region.address <= address);
            let index = after.checked_sub(1).ok_or(Error::InvalidAddress)?;
            *hint = index as u32;
            regions.get(index).filter(|region| holds(region)).ok_or(Error::InvalidAddress)?
        }
    };
    if region.access & access != access || region.access & DEVICE != 0 {
        return Err(Error::InvalidAddress);
    }
    Ok(region.physical + (address - region.address))
}

/// Whether an address lies in the page below the region that ends at `stack`: the guard page of a
/// stack that grows downwards.
pub(crate) fn below_stack(plan: &Plan<'_>, partition: usize, stack: u64, address: u64) -> bool {
    let regions = plan.partitions().get(partition).and_then(|record| plan.regions().get(record.regions.range()));
    let ends_there = |region: &&RegionRecord| region.space == SPACE_HOST && region.address + region.bytes == stack;
    let regions = regions.unwrap_or(&[]);
    let after = regions.partition_point(|region| region.space == SPACE_HOST && region.address < stack);
    let region = after.checked_sub(1).and_then(|index| regions.get(index)).filter(ends_there);
    region.is_some_and(|region| (region.address.saturating_sub(PAGE)..region.address).contains(&address))
}
