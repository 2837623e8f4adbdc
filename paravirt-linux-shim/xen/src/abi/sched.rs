// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Waiting, yielding, shutting down (`sched.h`).

super::numbers! {
    /// Operations.
    SchedCommand {
        /// Lets others run.
        Yield = 0,
        /// Unmasks events and waits for one.
        Block = 1,
        /// Ends the domain.
        Shutdown = 2,
        /// Waits for one of some ports, masked or not, or a time.
        Poll = 3,
        /// Ends another domain.
        RemoteShutdown = 4,
        /// Says why it will end.
        ShutdownCode = 5,
        /// A watchdog.
        Watchdog = 6,
        /// Binds to a processor.
        PinOverride = 7,
    }
}

super::numbers! {
    /// Why a domain ends.
    Shutdown {
        /// It is done.
        PowerOff = 0,
        /// It wants to begin again.
        Reboot = 1,
        /// It wants to be suspended.
        Suspend = 2,
        /// It met an error that it can't go on from.
        Crash = 3,
        /// Its watchdog fired.
        Watchdog = 4,
        /// It wants to begin again with its memory as it is.
        SoftReset = 5,
    }
}

super::wire! {
    /// `sched_poll`.
    Poll: 24 {
        /// Address of an array of ports.
        0 ports: u64,
        /// How many.
        8 nr_ports: u32,
        /// Unused.
        12 pad: u32,
        /// Until when, in system time (ns); 0: without end.
        16 timeout: u64,
    }
}

/// Ports that one poll can wait for, as Xen has it.
pub const POLL_PORTS_MAX: u32 = 128;
