// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory of the domain (`memory.h`).

super::numbers! {
    /// Operations.
    MemoryCommand {
        /// Asks for more frames.
        IncreaseReservation = 0,
        /// Gives frames back.
        DecreaseReservation = 1,
        /// Tells the highest machine frame.
        MaximumRamPage = 2,
        /// Tells how many frames the domain has.
        CurrentReservation = 3,
        /// Tells how many it may have.
        MaximumReservation = 4,
        /// Tells the frames of the machine-to-physical table.
        MachphysMfnList = 5,
        /// Asks for frames at given places.
        PopulatePhysmap = 6,
        /// Puts a shared frame at a place.
        AddToPhysmap = 7,
        /// Tells the pseudo-physical memory map.
        MemoryMap = 9,
        /// Tells the machine's memory map; for privileged domains.
        MachineMemoryMap = 10,
        /// Changes frames for others.
        Exchange = 11,
        /// Tells where the machine-to-physical table is mapped.
        MachphysMapping = 12,
        /// Sets another domain's memory map.
        SetMemoryMap = 13,
        /// Tells the highest guest frame.
        MaximumGpfn = 14,
        /// Takes a frame away from a place.
        RemoveFromPhysmap = 15,
    }
}

/// What [`AddToPhysmap`] can put somewhere.
pub mod space {
    /// The page that guest and hypervisor share.
    pub const SHARED_INFO: u32 = 0;
    /// A frame of the grant table.
    pub const GRANT_TABLE: u32 = 1;
}

/// Where the flag bits and the start of a continued call begin in the operation's number.
pub const COMMAND_BITS: u32 = 6;

super::wire! {
    /// `xen_memory_reservation`.
    Reservation: 32 {
        /// Address of an array of frame numbers.
        0 extent_start: u64,
        /// How many.
        8 nr_extents: u64,
        /// Each is 2^n frames.
        16 extent_order: u32,
        /// Wishes.
        20 mem_flags: u32,
        /// Whose.
        24 domid: u16,
        /// Unused.
        26 pad: [u16; 3],
    }
    /// `xen_memory_exchange`.
    Exchange: 72 {
        /// What is given.
        0 input: Reservation,
        /// What is wanted.
        32 output: Reservation,
        /// Out: how many were exchanged.
        64 nr_exchanged: u64,
    }
    /// `xen_machphys_mapping`.
    MachphysMapping: 24 {
        /// Out: where the table begins.
        0 v_start: u64,
        /// Out: where it ends.
        8 v_end: u64,
        /// Out: the highest frame in it.
        16 max_mfn: u64,
    }
    /// `xen_machphys_mfn_list`.
    MachphysMfnList: 24 {
        /// In: room in the array.
        0 max_extents: u32,
        /// Unused.
        4 pad: u32,
        /// In: address of the array.
        8 extent_start: u64,
        /// Out: how many were written.
        16 nr_extents: u32,
        /// Unused.
        20 pad2: u32,
    }
    /// `xen_memory_map`.
    MemoryMap: 16 {
        /// In: room in the buffer; out: entries written.
        0 nr_entries: u32,
        /// Unused.
        4 pad: u32,
        /// In: address of an array of E820 entries ([`E820_BYTES`] each).
        8 buffer: u64,
    }
    /// `xen_add_to_physmap`.
    AddToPhysmap: 24 {
        /// Whose.
        0 domid: u16,
        /// How many, for ranges.
        2 size: u16,
        /// What: 0 `shared_info`, 1 a frame of the grant table.
        4 space: u32,
        /// Which of them.
        8 idx: u64,
        /// Where to.
        16 gpfn: u64,
    }
}

/// Bytes of an entry of a memory map: address and size (64 bits each), kind (32 bits), packed.
pub const E820_BYTES: usize = 20;

/// Makes an entry of a memory map: usable memory.
#[must_use]
pub fn e820_ram(start: u64, size: u64) -> [u8; E820_BYTES] {
    const RAM: u32 = 1;
    let mut entry = [0; E820_BYTES];
    let words = start.to_le_bytes().into_iter().chain(size.to_le_bytes()).chain(RAM.to_le_bytes());
    entry.iter_mut().zip(words).for_each(|(to, from)| *to = from);
    entry
}
