// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Versions and features (`version.h`, `features.h`).

super::numbers! {
    /// What a guest can ask for.
    VersionCommand {
        /// Major and minor number.
        Version = 0,
        /// The rest of the version, 16 characters.
        ExtraVersion = 1,
        /// Who built it with what.
        CompileInfo = 2,
        /// Kinds of guests that it runs, 1024 characters.
        Capabilities = 3,
        /// Of which sources it was built, 64 characters.
        Changeset = 4,
        /// Where the hypervisor's part of the address space begins.
        PlatformParameters = 5,
        /// Bits of features.
        GetFeatures = 6,
        /// Bytes of a page.
        PageSize = 7,
        /// The domain's UUID, 16 bytes.
        GuestHandle = 8,
        /// The hypervisor's command line, 1024 characters.
        CommandLine = 9,
        /// Its build id.
        BuildId = 10,
    }
}

super::wire! {
    /// `get_features`.
    FeatureInfo: 8 {
        /// In: which 32 of them.
        0 submap_idx: u32,
        /// Out.
        4 submap: u32,
    }
    /// `compile_info`.
    CompileInfo: 144 {
        /// The compiler.
        0 compiler: [u8; 64],
        /// Who built it.
        64 compile_by: [u8; 16],
        /// Where.
        80 compile_domain: [u8; 32],
        /// When.
        112 compile_date: [u8; 32],
    }
}

/// Bits of features that matter to a paravirtualised guest.
pub mod feature {
    /// The guest may write its page tables.
    pub const WRITABLE_PAGE_TABLES: u32 = 1 << 0;
    /// Frames in page tables are pseudo-physical. Must be clear for a paravirtualised guest.
    pub const AUTO_TRANSLATED_PHYSMAP: u32 = 1 << 2;
    /// The guest runs in ring 0. Must be clear.
    pub const SUPERVISOR_MODE_KERNEL: u32 = 1 << 3;
    /// Roots may lie above 4 GiB.
    pub const PAE_PGDIR_ABOVE_4GB: u32 = 1 << 4;
    /// Updates that keep accessed and dirty bits exist. Linux panics without.
    pub const MMU_PT_UPDATE_PRESERVE_AD: u32 = 1 << 5;
    /// Frames can be cleared and copied by call.
    pub const HIGHMEM_ASSIST: u32 = 1 << 6;
    /// Mapping a grant honours flags for the software bits of an entry. Linux panics without.
    pub const GNTTAB_MAP_AVAIL_BITS: u32 = 1 << 7;
    /// Frames of a translated guest are not those of the machine.
    pub const NOT_DIRECT_MAPPED: u32 = 1 << 16;
    /// Machine frame = pseudo-physical frame.
    pub const DIRECT_MAPPED: u32 = 1 << 17;

    /// What Parzelle offers. `DIRECT_MAPPED` is true here, but a PV guest does not look at it.
    pub const OFFERED: u32 = PAE_PGDIR_ABOVE_4GB | MMU_PT_UPDATE_PRESERVE_AD | GNTTAB_MAP_AVAIL_BITS | DIRECT_MAPPED;
    /// What it offers guests whose memory the processor translates.
    pub const TRANSLATED: u32 = AUTO_TRANSLATED_PHYSMAP | NOT_DIRECT_MAPPED;
}

/// The version that is told: `major << 16 | minor`. Guests look for 4.x.
pub const VERSION: u32 = 4 << 16 | 17;
/// Where Xen's part of the address space begins and ends; no guest maps anything there.
pub const HYPERVISOR_START: u64 = 0xffff_8000_0000_0000;
/// See [`HYPERVISOR_START`].
pub const HYPERVISOR_END: u64 = 0xffff_8800_0000_0000;
