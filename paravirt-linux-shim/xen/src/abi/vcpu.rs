// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! vCPUs (`vcpu.h`): bringing them up, their timers, areas they share.

super::numbers! {
    /// Operations.
    VcpuCommand {
        /// Sets the registers that a vCPU begins with.
        Initialise = 0,
        /// Starts it.
        Up = 1,
        /// Stops it.
        Down = 2,
        /// Tells whether it is started.
        IsUp = 3,
        /// Tells how long it was in which state.
        GetRunstateInfo = 4,
        /// Says where to write that at each change.
        RegisterRunstateArea = 5,
        /// A timer that repeats.
        SetPeriodicTimer = 6,
        /// Ends that.
        StopPeriodicTimer = 7,
        /// A timer that fires once.
        SetSingleshotTimer = 8,
        /// Ends that.
        StopSingleshotTimer = 9,
        /// Says where its `vcpu_info` is.
        RegisterVcpuInfo = 10,
        /// Sends it an NMI.
        SendNmi = 11,
        /// Tells which processor it is on.
        GetPhysid = 12,
        /// Says where to write its clock for user programs.
        RegisterTimeArea = 13,
        /// As [`Self::RegisterRunstateArea`], by physical address.
        RegisterRunstatePhysical = 14,
        /// As [`Self::RegisterTimeArea`], by physical address.
        RegisterTimePhysical = 15,
    }
}

super::wire! {
    /// `register_runstate_memory_area`, `register_vcpu_time_memory_area`.
    RegisterArea: 8 {
        /// The guest's address of the area.
        0 address: u64,
    }
    /// `set_periodic_timer`.
    SetPeriodicTimer: 8 {
        /// Nanoseconds.
        0 period: u64,
    }
    /// `set_singleshot_timer`.
    SetSingleshotTimer: 16 {
        /// System time in nanoseconds.
        0 timeout: u64,
        /// See [`FUTURE`].
        8 flags: u32,
        /// Unused.
        12 pad: u32,
    }
    /// `register_vcpu_info`.
    RegisterVcpuInfo: 16 {
        /// Machine frame.
        0 mfn: u64,
        /// Where in it.
        8 offset: u32,
        /// Unused.
        12 pad: u32,
    }
}

/// Flag of a one-shot timer: refuse a moment that has passed (ETIME).
pub const FUTURE: u32 = 1;
