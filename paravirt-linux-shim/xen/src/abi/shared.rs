// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What guest and hypervisor read and write at the same time (`xen.h`, `arch-x86/xen.h`).
//!
//! The structures here say where things lie; nobody makes references to them in shared memory:
//! single words are read and written through [`crate::memory::Page`].

super::wire! {
    /// A vCPU's clock (`vcpu_time_info`), see [`crate::time`].
    VcpuTimeInfo: 32 {
        /// Odd while it is being changed.
        0 version: u32,
        /// Unused.
        4 pad: u32,
        /// The counter at [`Self::system_time`].
        8 tsc_timestamp: u64,
        /// Nanoseconds since the guest's machine was started.
        16 system_time: u64,
        /// Ticks to nanoseconds, see [`crate::time::Scale`].
        24 tsc_to_system_mul: u32,
        /// See there.
        28 tsc_shift: i8,
        /// See [`TSC_STABLE`].
        29 flags: u8,
        /// Unused.
        30 pad1: [u8; 2],
    }
    /// A vCPU's part of the shared page (`vcpu_info`).
    VcpuInfo: 64 {
        /// An event waits.
        0 evtchn_upcall_pending: u8,
        /// The guest takes no upcalls: its interrupt flag, inverted.
        1 evtchn_upcall_mask: u8,
        /// Unused.
        2 pad: [u8; 6],
        /// A bit for each word of pending ports in which there may be news.
        8 evtchn_pending_sel: u64,
        /// Address of the last page fault: the guest's only way to learn it.
        16 cr2: u64,
        /// Unused.
        24 pad1: u64,
        /// Its clock.
        32 time: VcpuTimeInfo,
    }
    /// The rest of the shared page on x86 (`arch_shared_info`); the guest writes it for tools.
    ArchSharedInfo: 48 {
        /// Frames in the guest's list.
        0 max_pfn: u64,
        /// Frame of a list of lists of frames.
        8 pfn_to_mfn_frame_list_list: u64,
        /// Why there was an NMI.
        16 nmi_reason: u64,
        /// A root under which the list below is mapped.
        24 p2m_cr3: u64,
        /// Where the guest's list of frames is.
        32 p2m_vaddr: u64,
        /// Odd while that list is being changed.
        40 p2m_generation: u64,
    }
    /// The page shared by guest and hypervisor (`shared_info`).
    SharedInfo: 3136 {
        /// One for each of the first 32 vCPUs, until they register others.
        0 vcpu_info: [VcpuInfo; 32],
        /// A bit for each port: it has happened (two-level scheme).
        2048 evtchn_pending: [u64; 64],
        /// A bit for each port: the guest does not want to be told.
        2560 evtchn_mask: [u64; 64],
        /// Odd while the wall clock is being changed.
        3072 wc_version: u32,
        /// Wall clock at system time 0: seconds since 1970, low half.
        3076 wc_sec: u32,
        /// Nanoseconds.
        3080 wc_nsec: u32,
        /// Seconds, high half.
        3084 wc_sec_hi: u32,
        /// See [`ArchSharedInfo`].
        3088 arch: ArchSharedInfo,
    }
    /// How long a vCPU was in which state (`vcpu_runstate_info`), in nanoseconds.
    RunstateInfo: 48 {
        /// See [`crate::time::RunState`].
        0 state: u32,
        /// Unused.
        4 pad: u32,
        /// Since when; with [`RUNSTATE_UPDATE`] while it is being changed.
        8 state_entry_time: u64,
        /// Time spent in each state.
        16 time: [u64; 4],
    }
}

/// What of that differs between architectures, and is used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// vCPUs that use a `vcpu_info` in the shared page until they register others.
    pub legacy_vcpus: usize,
    /// Bytes of a `vcpu_info`.
    pub vcpu_info: usize,
    /// Where a `vcpu_info` has its clock, if the guest reads one there.
    pub time: Option<usize>,
    /// Where the shared page has the bits of ports that have happened.
    pub pending: usize,
    /// The bits of ports that the guest does not want to be told of.
    pub mask: usize,
    /// The wall clock: version, seconds, nanoseconds, high half of the seconds; 32 bits each.
    pub wall_clock: usize,
}

impl Layout {
    /// Paravirtualised guests on x86-64: the structures above.
    pub const X86_64: Self = Self {
        legacy_vcpus: 32,
        vcpu_info: size_of::<VcpuInfo>(),
        time: Some(at::TIME),
        pending: at::PENDING,
        mask: at::MASK,
        wall_clock: at::WALL_CLOCK,
    };
    /// arm64 (`arch-arm.h`): a `vcpu_info` has no architecture's part, and only the first one lies in the
    /// shared page, where guests don't use it. They read the time from the processor.
    pub const ARM64: Self =
        Self { legacy_vcpus: 0, vcpu_info: 48, time: None, pending: 48, mask: 560, wall_clock: 1072 };
}

/// Flag of a clock: counter and scale are the same on all vCPUs, so time never goes back between them.
pub const TSC_STABLE: u8 = 1;
/// The bit of [`RunstateInfo::state_entry_time`] that says "being changed".
pub const RUNSTATE_UPDATE: u64 = 1 << 63;

/// Where fields lie that are read and written one by one.
pub mod at {
    use core::mem::offset_of;

    use super::{SharedInfo, VcpuInfo};

    /// In a `vcpu_info` of any architecture, as the next two.
    pub const UPCALL_PENDING: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);
    /// In a `vcpu_info`.
    pub const UPCALL_MASK: usize = offset_of!(VcpuInfo, evtchn_upcall_mask);
    /// In a `vcpu_info`.
    pub const PENDING_SEL: usize = offset_of!(VcpuInfo, evtchn_pending_sel);
    /// In a `vcpu_info`.
    pub const CR2: usize = offset_of!(VcpuInfo, cr2);
    /// In a `vcpu_info`.
    pub const TIME: usize = offset_of!(VcpuInfo, time);
    /// In the shared page.
    pub const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
    /// In the shared page.
    pub const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
    /// In the shared page.
    pub const WALL_CLOCK: usize = offset_of!(SharedInfo, wc_version);
}
