// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What guests with translated memory ask instead of finding it at their start (`hvm_op.h`,
//! `params.h`).

super::numbers! {
    /// Operations that an unprivileged guest tries.
    HvmCommand {
        /// Sets a parameter.
        SetParameter = 0,
        /// Reads one.
        GetParameter = 1,
    }
}

super::numbers! {
    /// Parameters that a guest reads.
    Parameter {
        /// Frame of the store's page.
        StoreFrame = 1,
        /// Port of the store.
        StorePort = 2,
        /// Frame of the console's page.
        ConsoleFrame = 17,
        /// Port of the console.
        ConsolePort = 18,
    }
}

super::wire! {
    /// `xen_hvm_param`.
    HvmParameter: 16 {
        /// Whose; the caller's own.
        0 domid: u16,
        /// Unused.
        2 pad: u16,
        /// Which.
        4 index: u32,
        /// In or out.
        8 value: u64,
    }
}
