// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices and privilege (`physdev.h`), assists and the emergency console (`xen.h`), grants'
//! command numbers (`grant_table.h`).

super::numbers! {
    /// Operations on devices that an unprivileged guest tries.
    PhysdevCommand {
        /// Ends an interrupt.
        Eoi = 12,
        /// Sets the I/O privilege level.
        SetIopl = 6,
        /// Opens I/O ports.
        SetIoBitmap = 7,
        /// Shares a bitmap of interrupts that need an end, old form.
        PirqEoiGmfnV1 = 17,
        /// The same, new form.
        PirqEoiGmfnV2 = 28,
    }
}

super::numbers! {
    /// Ways in which the hypervisor helps along.
    Assist {
        /// 4 GiB segments for 32-bit guests.
        Segments4Gb = 0,
        /// Tells when they were needed.
        Segments4GbNotify = 1,
        /// Emulates writes to tables that are mapped read-only.
        WritablePageTables = 2,
        /// CR3 with more bits.
        PaeExtendedCr3 = 3,
        /// IOPL as the processor has it.
        ArchitecturalIopl = 4,
        /// Marks run states that are being changed.
        RunstateUpdateFlag = 5,
    }
}

super::numbers! {
    /// Operations of the emergency console.
    ConsoleCommand {
        /// Prints.
        Write = 0,
        /// Reads.
        Read = 1,
    }
}

super::numbers! {
    /// Operations on grants.
    GrantCommand {
        /// Maps frames that others granted.
        MapGrantRef = 0,
        /// Ends that.
        UnmapGrantRef = 1,
        /// Tells the frames of the table.
        SetupTable = 2,
        /// Prints the table.
        DumpTable = 3,
        /// Gives a frame away.
        Transfer = 4,
        /// Copies between granted frames.
        Copy = 5,
        /// Tells the table's size.
        QuerySize = 6,
        /// Unmaps and puts another frame there.
        UnmapAndReplace = 7,
        /// Chooses the layout of entries.
        SetVersion = 8,
        /// Tells the frames of the status array.
        GetStatusFrames = 9,
        /// Tells the layout of entries.
        GetVersion = 10,
        /// Exchanges two entries.
        SwapGrantRef = 11,
        /// Cleans caches.
        CacheFlush = 12,
    }
}

super::wire! {
    /// `set_iopl`.
    SetIopl: 4 {
        /// The level.
        0 iopl: u32,
    }
    /// `set_iobitmap`.
    SetIoBitmap: 16 {
        /// Address of the bitmap.
        0 bitmap: u64,
        /// Ports in it.
        8 nr_ports: u32,
        /// Unused.
        12 pad: u32,
    }
}
