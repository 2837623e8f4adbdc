// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where the kernel lies, and its two windows onto physical memory.
//!
//! ```text
//!   slot   0–255   the partition: its host space's regions, below 2³⁸
//!   slot   256     common(pa)  = COMMON + pa    one subtree that all roots link: image, plan, arena, irq chip
//!   slot   257     private(pa) = PRIVATE + pa   each root its own: contexts, vCPU pages, memory, channel buffers
//! ```
//! In a window is only what the plan says: neither is a map of all RAM. While the kernel boots,
//! it runs under a root of its own whose common window shows the first 4 GiB.

/// Where physical address 0 would be in the common window. The kernel is linked into it.
pub const COMMON: u64 = 0xffff_8000_0000_0000;
/// Where physical address 0 would be in the private window.
pub const PRIVATE: u64 = 0xffff_8080_0000_0000;
/// Root entry of the common window.
pub const COMMON_SLOT: usize = 256;
/// Bytes of a window: physical memory above is refused.
pub const WINDOW: u64 = 1 << 39;
/// What the boot root shows: device registers and tables of the firmware lie below.
pub const BOOT_WINDOW: u64 = 1 << 32;
/// The page below 1 MiB in which other cores wake up: no plan's memory lies there.
pub const TRAMPOLINE: u64 = 0x8000;
/// Bytes of a page.
pub const PAGE: u64 = parzelle_abi::PAGE;

/// The address at which all roots show physical address `pa`.
pub const fn common(pa: u64) -> u64 {
    COMMON.wrapping_add(pa)
}

/// The address at which the root of its partition shows physical address `pa`.
pub const fn private(pa: u64) -> u64 {
    PRIVATE.wrapping_add(pa)
}

/// The physical address of something in the common window.
pub const fn physical(address: u64) -> u64 {
    address.wrapping_sub(COMMON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_paging::{Format, LongMode};

    #[test]
    fn windows_are_slots_of_the_kernel_and_do_not_meet() {
        let slot = |address: u64| LongMode::ROOT.index(address);
        assert_eq!(slot(COMMON), COMMON_SLOT);
        assert_eq!(slot(common(WINDOW - 1)), COMMON_SLOT);
        assert_eq!(slot(PRIVATE), COMMON_SLOT + 1);
        assert_eq!(slot(private(WINDOW - 1)), COMMON_SLOT + 1);
        assert!(LongMode::KERNEL_SLOTS.contains(&slot(PRIVATE)));
        assert_eq!(slot(parzelle_abi::x86_64::SHIM), LongMode::SHIM_SLOT);
        assert_eq!(physical(common(0x20_0000)), 0x20_0000);
    }
}
