// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a partition's tables are made of. All sizes come from the plan.

use crate::descriptor::{Descriptor, Kind, State};
use crate::entry::{ADDRESS, PAGE_BITS, REGIONS, Region};
use crate::tables::{Memory, ROOT, SLOTS, Tables};
use crate::{Error, Roots};

/// What boot gives, as the plan says.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Where the pool begins. All of it is zero. Its first frame serves as the empty user root.
    pub pool: u64,
    /// One for each frame of the pool.
    pub descriptors: &'a mut [Descriptor],
    /// One for each guest frame that may be a table.
    pub names: &'a mut [u32],
    /// The guest's memory, at most [`REGIONS`]; none of it in the pool.
    pub regions: &'a [Region],
    /// One for each vCPU of the partition.
    pub roots: &'a mut [Roots],
    /// What stands in [`KERNEL_SLOTS`](crate::KERNEL_SLOTS), leading to tables outside of the pool, by [`Kind`].
    pub slots: [[u64; SLOTS]; 2],
    /// The root of a host context that has not set one: physical address.
    pub host: u64,
}

impl<'a> Tables<'a> {
    /// Begins with all tables free. Not bounded: boot is not.
    ///
    /// # Errors
    /// [`Error::Setup`]: addresses are no multiples of 4 KiB, the pool has no frame, a region
    /// touches it or wraps around, or a slot of the kernel's leads there.
    pub fn new(setup: Setup<'a>, memory: &mut impl Memory) -> Result<Self, Error> {
        let bytes = (setup.descriptors.len() as u64) << PAGE_BITS;
        let end = setup.pool.checked_add(bytes).filter(|end| *end & !ADDRESS == 0).ok_or(Error::Setup)?;
        let fits = |region: &Region| {
            let stop = region.physical.checked_add(region.bytes);
            (region.address | region.bytes | region.physical) & !ADDRESS == 0
                && region.address.checked_add(region.bytes).is_some()
                && stop.is_some_and(|stop| stop & !ADDRESS == 0 && (stop <= setup.pool || region.physical >= end))
        };
        let numbered = u32::try_from(setup.descriptors.len()).is_ok_and(|count| count > 0);
        let few = setup.regions.len() <= REGIONS;
        let outside = setup.slots.iter().flatten().all(|word| !(setup.pool..end).contains(&(word & ADDRESS)));
        if !numbered || !few || !outside || setup.pool & !ADDRESS != 0 || !setup.regions.iter().all(fits) {
            return Err(Error::Setup);
        }
        setup.names.fill(0);
        setup.roots.fill(Roots::default());
        setup.descriptors.fill(Descriptor::default());
        let mut tables = Self { set: setup, free: (0, 0), resetting: None };
        for number in 1..tables.set.descriptors.len() as u32 {
            tables.give_back(number, 0);
        }
        let empty = Descriptor { state: State::Ready, level: ROOT, refs: 1, ..Descriptor::default() };
        if let Some(first) = tables.set.descriptors.first_mut() {
            *first = empty;
        }
        tables.set_kind(memory, 0, Kind::User);
        Ok(tables)
    }
}
