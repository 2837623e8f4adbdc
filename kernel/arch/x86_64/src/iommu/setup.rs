// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices, under the kernel's own root: first the fence before them, then what the plan sets up, then
//! the lines. What they are, only the tool knows that wrote the plan.

use crate::boot::{Refusal, ensure};
use crate::layout::{PAGE, common};
use crate::machine::Module;
use crate::mmio::Registers;
use crate::power;
use parzelle_plan::{ACCESS_EXPECT, Plan};

/// Switches on the fence, sets up all devices, and lets lines interrupt.
///
/// # Errors
/// An IOMMU that doesn't work, or a device that is not the one that the plan expects.
pub(crate) fn set_up(plan: &Plan<'_>, module: &Module) -> Result<(), Refusal> {
    module.iommu.as_ref().map_or(Ok(()), |iommu| iommu.begin())?;
    for setup in plan.setups() {
        let access = &setup.access;
        if access.what == ACCESS_EXPECT {
            // SAFETY: `space` has seen that the kernel's root maps it.
            let page = unsafe { Registers::new(common(access.address & !(PAGE - 1))) };
            let found = page.read((access.address % PAGE) as u16);
            let (value, ignored) = (access.value as u32, (access.value >> 32) as u32);
            ensure((found ^ value) & !ignored == 0, Refusal::Device(setup.name, access.address, value, found))?;
        } else {
            power::access(access);
        }
    }
    module.io.begin();
    Ok(())
}
