// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a guest finds when it begins (`start_info` in `xen.h`).

super::wire! {
    /// What the boot vCPU finds at the address in rsi.
    StartInfo: 1168 {
        /// Which hypervisor: text.
        0 magic: [u8; 32],
        /// Frames of memory.
        32 nr_pages: u64,
        /// Machine address of the shared page.
        40 shared_info: u64,
        /// See [`flag`].
        48 flags: u32,
        /// Unused.
        52 pad: u32,
        /// Machine frame of xenstore's page.
        56 store_mfn: u64,
        /// Port of xenstore; 0: there is none.
        64 store_evtchn: u32,
        /// Unused.
        68 pad1: u32,
        /// Machine frame of the console's page.
        72 console_mfn: u64,
        /// Port of the console; 0: there is none.
        80 console_evtchn: u32,
        /// Unused.
        84 pad2: u32,
        /// Virtual address of the page tables; the first is the root.
        88 pt_base: u64,
        /// How many they are.
        96 nr_pt_frames: u64,
        /// Virtual address of the list of machine frames (p2m).
        104 mfn_list: u64,
        /// The initrd: a virtual address, or a frame ([`flag::MOD_START_PFN`]).
        112 mod_start: u64,
        /// Its bytes.
        120 mod_len: u64,
        /// The command line, ended by a zero.
        128 cmd_line: [u8; 1024],
        /// First frame of the list of machine frames, if it is not in the first mapping.
        1152 first_p2m_pfn: u64,
        /// Its frames, with the page tables that map it.
        1160 nr_p2m_frames: u64,
    }
}

/// Flags of [`StartInfo`].
pub mod flag {
    /// `mod_start` is a frame: the initrd is not mapped.
    pub const MOD_START_PFN: u32 = 1 << 3;
    /// The guest may tell tools its frames by a linear list alone.
    pub const VIRT_P2M_4TOOLS: u32 = 1 << 4;
}
