// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a partition's tables are made of. All sizes come from the plan.

use crate::descriptor::{Descriptor, Kind, State};
use crate::entry::{ADDRESS, PAGE_BITS, REGIONS, Region};
use crate::tables::{Memory, ROOT, SLOTS, Tables};
use crate::{Error, Tlb};

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
    /// The roots of each vCPU, by [`Kind`], as tables of the pool; 0: none was set.
    pub roots: &'a mut [[u32; 2]],
    /// What stands in [`KERNEL_SLOTS`](crate::KERNEL_SLOTS), leading to tables outside of the pool, by [`Kind`].
    pub slots: [[u64; SLOTS]; 2],
    /// The root of a host context that has not set one: physical address.
    pub host: u64,
    /// The partition's generations.
    pub tlb: &'a Tlb<'a>,
}

impl<'a, M: Memory> Tables<'a, M> {
    /// Begins with all tables free. Not bounded: boot is not.
    ///
    /// # Errors
    /// [`Error::Setup`]: addresses are no multiples of 4 KiB, the pool has no frame, a region
    /// touches it or wraps around, or a slot of the kernel's leads there.
    pub fn new(set: Setup<'a>, memory: M) -> Result<Self, Error> {
        let count = u32::try_from(set.descriptors.len()).map_err(|_| Error::Setup)?;
        let end = set.pool.checked_add(u64::from(count) << PAGE_BITS).ok_or(Error::Setup)?;
        let fits = |region: &Region| {
            let ends = [region.physical, region.address].map(|start| start.checked_add(region.bytes));
            let [Some(stop), Some(last)] = ends else { return false };
            let clean = (region.address | region.bytes | region.physical | stop | last) & !ADDRESS == 0;
            clean && (stop <= set.pool || region.physical >= end)
        };
        let outside = set.slots.iter().flatten().all(|word| !(set.pool..end).contains(&(word & ADDRESS)));
        let whole = count > 0 && (set.pool | end) & !ADDRESS == 0;
        if !whole || !outside || set.regions.len() > REGIONS || !set.regions.iter().all(fits) {
            return Err(Error::Setup);
        }
        let mut tables = Self { set, memory, free: (0, 0), resetting: None };
        tables.set.names.fill(0);
        tables.set.roots.fill([0; 2]);
        (1..count).for_each(|number| tables.give_back(number, 0));
        *tables.descriptor_mut(0)? = Descriptor { state: State::Ready, level: ROOT, refs: 1, ..Descriptor::default() };
        tables.set_kind(0, Kind::User);
        Ok(tables)
    }
}
