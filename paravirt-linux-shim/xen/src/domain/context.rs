// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Whether a vCPU can begin with a context.

use crate::abi::trap::{GDT_ENTRIES_MAX, GuestContext, context};
use crate::abi::{Errno, PAGE};
use crate::traps::is_canonical;

/// Entries that an LDT can have.
const LDT_ENTRIES_MAX: u64 = 8192;

/// Checks what concerns no table but the vCPU itself: where it begins, its entries, the sizes of
/// its tables, and that its roots are frames of the guest's. (The rest is seen when it is used.)
///
/// # Errors
/// [`Errno::Invalid`].
pub(super) fn check(guest: &GuestContext, frames: u64) -> Result<(), Errno> {
    let [_, user_root, _, root, ..] = guest.ctrlreg;
    let addresses = [
        guest.user_regs.rip,
        guest.event_callback,
        guest.failsafe_callback,
        guest.syscall_callback,
        guest.fs_base,
        guest.gs_base_kernel,
        guest.gs_base_user,
    ];
    let is_root = |root: u64| root.is_multiple_of(PAGE) && root / PAGE < frames;
    let fits = addresses.into_iter().all(is_canonical)
        && guest.flags & context::IN_KERNEL != 0
        && guest.gdt_ents <= GDT_ENTRIES_MAX
        && guest.ldt_ents <= LDT_ENTRIES_MAX
        && root != 0
        && is_root(root)
        && is_root(user_root);
    if fits { Ok(()) } else { Err(Errno::Invalid) }
}
