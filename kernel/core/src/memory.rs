// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A partition's addresses, made physical. The kernel reaches partition memory only by what
//! comes out here: a range that lies in one region of the plan with the rights asked for.

use crate::partition::Partition;
use core::cell::Cell;
use parzelle_abi::call::Error;
use parzelle_plan::{DEVICE, RegionRecord, SPACE_HOST};

impl Partition {
    /// Finds the physical address of `[address, address + bytes)` in its host space. `hint` is where
    /// the last search ended, and is updated.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`] when no region holds the whole range with `access`, or a device's does.
    #[inline]
    pub(crate) fn locate(&self, address: u64, bytes: u64, access: u32, hint: &Cell<u32>) -> Result<u64, Error> {
        let end = address.checked_add(bytes).ok_or(Error::InvalidAddress)?;
        let holds = |region: &&RegionRecord| {
            let offset = address.wrapping_sub(region.address);
            region.space == SPACE_HOST && offset < region.bytes && end - region.address <= region.bytes
        };
        let region = match self.regions.get(hint.get() as usize).filter(holds) {
            Some(region) => region,
            None => {
                let index = self.regions_from(address).checked_sub(1).ok_or(Error::InvalidAddress)?;
                hint.set(index as u32);
                self.regions.get(index).filter(holds).ok_or(Error::InvalidAddress)?
            }
        };
        if region.access & (access | DEVICE) != access {
            return Err(Error::InvalidAddress);
        }
        Ok(region.physical + (address - region.address))
    }

    /// How many regions of the host space begin at or below an address.
    fn regions_from(&self, address: u64) -> usize {
        self.regions.partition_point(|region| region.space == SPACE_HOST && region.address <= address)
    }

    /// Where the region begins that ends at `stack`, which grows downwards; 0 if there is none.
    pub(crate) fn stack_floor(&self, stack: u64) -> u64 {
        let region = self.regions_from(stack.saturating_sub(1)).checked_sub(1).and_then(|at| self.regions.get(at));
        region.filter(|region| region.address + region.bytes == stack).map_or(0, |region| region.address)
    }
}
