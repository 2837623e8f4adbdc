// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Event channels (`event_channel.h`).

super::numbers! {
    /// Operations on event channels.
    EventCommand {
        /// Connects to another domain's port.
        BindInterdomain = 0,
        /// Takes a virtual interrupt.
        BindVirq = 1,
        /// Takes a physical interrupt.
        BindPirq = 2,
        /// Gives a port back.
        Close = 3,
        /// Signals the other end.
        Send = 4,
        /// Tells what a port is.
        Status = 5,
        /// Makes a port that another domain may connect to.
        AllocUnbound = 6,
        /// Makes a port by which vCPUs signal one another.
        BindIpi = 7,
        /// Says which vCPU is told.
        BindVcpu = 8,
        /// Clears a port's mask, and tells what was pending.
        Unmask = 9,
        /// Closes all.
        Reset = 10,
        /// Begins to use the queues ("FIFO").
        InitControl = 11,
        /// Adds a page of event words.
        ExpandArray = 12,
        /// Chooses a port's queue.
        SetPriority = 13,
    }
}

super::wire! {
    /// `alloc_unbound`.
    AllocUnbound: 8 {
        /// In: whose port; the caller's own.
        0 dom: u16,
        /// In: who may connect.
        2 remote_dom: u16,
        /// Out.
        4 port: u32,
    }
    /// `bind_virq`.
    BindVirq: 12 {
        /// In: which virtual interrupt.
        0 virq: u32,
        /// In.
        4 vcpu: u32,
        /// Out.
        8 port: u32,
    }
    /// `bind_ipi`.
    BindIpi: 8 {
        /// In.
        0 vcpu: u32,
        /// Out.
        4 port: u32,
    }
    /// `bind_vcpu`.
    BindVcpu: 8 {
        /// In.
        0 port: u32,
        /// In.
        4 vcpu: u32,
    }
    /// `status`.
    Status: 24 {
        /// In: whose port; the caller's own.
        0 dom: u16,
        /// Unused.
        2 pad: u16,
        /// In.
        4 port: u32,
        /// Out: see [`PortStatus`].
        8 status: u32,
        /// Out: who is told.
        12 vcpu: u32,
        /// Out: an interrupt's number; or, in the low half, the other domain.
        16 detail: u32,
        /// Out: the other domain's port.
        20 port_there: u32,
    }
    /// `init_control`.
    InitControl: 24 {
        /// In: frame of the control block.
        0 control_gfn: u64,
        /// In: where in that frame.
        8 offset: u32,
        /// In.
        12 vcpu: u32,
        /// Out: bits of a link.
        16 link_bits: u8,
        /// Unused.
        17 pad: [u8; 7],
    }
    /// `expand_array`.
    ExpandArray: 8 {
        /// In: frame of the next 1024 event words.
        0 array_gfn: u64,
    }
    /// `set_priority`.
    SetPriority: 8 {
        /// In.
        0 port: u32,
        /// In: 0 is the most urgent, 15 the least.
        4 priority: u32,
    }
    /// A vCPU's queues: the guest reads heads and ready bits, the hypervisor writes them.
    ControlBlock: 72 {
        /// A bit for each queue that is not empty.
        0 ready: u32,
        /// Unused.
        4 pad: u32,
        /// First port of each queue.
        8 head: [u32; 16],
    }
}

super::numbers! {
    /// What a port is.
    PortStatus {
        /// Nothing.
        Closed = 0,
        /// Another domain may connect.
        Unbound = 1,
        /// Connected to another domain's.
        Interdomain = 2,
        /// A physical interrupt.
        Pirq = 3,
        /// A virtual interrupt.
        Virq = 4,
        /// A way between vCPUs.
        Ipi = 5,
    }
}

/// Virtual interrupts (`xen.h`).
pub mod virq {
    /// The vCPU's timers.
    pub const TIMER: u32 = 0;
    /// Somebody wants to see the guest's state.
    pub const DEBUG: u32 = 1;
    /// Profiling.
    pub const XENOPROF: u32 = 7;
    /// Performance counters.
    pub const XENPMU: u32 = 13;
    /// How many numbers there are.
    pub const COUNT: usize = 24;
}

/// Ports that the two-level scheme can hold: 64 words of 64 bits.
pub const TWO_LEVEL_PORTS: usize = 4096;
/// Bits of an event word and how many ports and queues there are (FIFO).
pub mod fifo {
    /// The event has happened.
    pub const PENDING: u32 = 1 << 31;
    /// The guest does not want to be told.
    pub const MASKED: u32 = 1 << 30;
    /// It is in a queue.
    pub const LINKED: u32 = 1 << 29;
    /// The hypervisor is about to write the link: the guest does not unmask meanwhile.
    pub const BUSY: u32 = 1 << 28;
    /// Bits of a link: the next port in the queue.
    pub const LINK_BITS: u8 = 17;
    /// Mask of a link.
    pub const LINK: u32 = (1 << LINK_BITS) - 1;
    /// Event words in a page.
    pub const WORDS_PER_PAGE: usize = 1024;
    /// Queues of a vCPU.
    pub const QUEUES: usize = 16;
    /// The queue of a port nobody chose one for.
    pub const DEFAULT_PRIORITY: u8 = 7;
}
