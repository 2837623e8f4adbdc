// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Page tables (`xen.h`): batches of entries, operations on whole tables.

super::wire! {
    /// An entry to write (`mmu_update`).
    MmuUpdate: 16 {
        /// Machine address of the entry; the low bits say what kind of update ([`UpdateKind`]).
        0 ptr: u64,
        /// What to write.
        8 val: u64,
    }
    /// An operation on tables (`mmuext_op`).
    MmuextOp: 24 {
        /// Which, see [`MmuextCommand`].
        0 cmd: u32,
        /// Unused.
        4 pad: u32,
        /// A machine frame or a linear address.
        8 arg1: u64,
        /// A number of entries (32 bits), the address of a vCPU mask, or a machine frame.
        16 arg2: u64,
    }
    /// A call in a batch of calls (`multicall_entry`).
    MulticallEntry: 64 {
        /// Its number.
        0 op: u64,
        /// Its result.
        8 result: u64,
        /// Its arguments.
        16 args: [u64; 6],
    }
}

/// The bits of [`MmuUpdate::ptr`] that hold its kind.
pub const UPDATE_KIND: u64 = 3;

super::numbers! {
    /// What kind of update an entry asks for.
    UpdateKind {
        /// Writes an entry of a page table.
        Normal = 0,
        /// Writes the machine-to-physical table: frame of `ptr` belongs to pseudo-physical `val`.
        MachineToPhysical = 1,
        /// Writes an entry but keeps the accessed and dirty bits that are there.
        PreserveAccessedDirty = 2,
        /// As [`Self::Normal`], the entry holding machine frames even if frames are translated.
        NoTranslate = 3,
    }
}

super::numbers! {
    /// Operations of [`MmuextOp`].
    MmuextCommand {
        /// Makes the frame an L1 table and keeps it one.
        PinL1 = 0,
        /// The same for L2.
        PinL2 = 1,
        /// The same for L3.
        PinL3 = 2,
        /// The same for L4.
        PinL4 = 3,
        /// Ends that.
        Unpin = 4,
        /// The root for the guest's kernel.
        NewBaseptr = 5,
        /// Flushes this vCPU's TLB.
        TlbFlushLocal = 6,
        /// Flushes an address from this vCPU's TLB.
        InvlpgLocal = 7,
        /// Flushes the TLBs of the vCPUs in a mask.
        TlbFlushMulti = 8,
        /// Flushes an address from the TLBs of the vCPUs in a mask.
        InvlpgMulti = 9,
        /// Flushes the TLBs of all vCPUs.
        TlbFlushAll = 10,
        /// Flushes an address from the TLBs of all vCPUs.
        InvlpgAll = 11,
        /// Writes back caches.
        FlushCache = 12,
        /// Address and number of entries of the LDT.
        SetLdt = 13,
        /// The root for the guest's user programs.
        NewUserBaseptr = 15,
        /// Zeroes a frame.
        ClearPage = 16,
        /// Copies a frame.
        CopyPage = 17,
        /// Writes back the caches of all processors.
        FlushCacheGlobal = 18,
    }
}

/// Flags of `update_va_mapping`: what to flush, and where.
pub mod uvmf {
    /// Flush everything.
    pub const TLB_FLUSH: u64 = 1;
    /// Flush this address.
    pub const INVLPG: u64 = 2;
    /// Mask of the two above; 0 flushes nothing.
    pub const KIND: u64 = 3;
    /// On all vCPUs. Otherwise the rest of the flags is the address of a vCPU mask, or 0 for this
    /// vCPU alone.
    pub const ALL: u64 = 4;
}
