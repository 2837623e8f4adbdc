// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Instructions that Rust has no word for. Bare metal has them (`bare.rs`); on the host, where
//! the rest of this crate is tested, stand-ins do nothing and answer zero (`host.rs`).

#[cfg(all(target_arch = "x86_64", target_os = "none"))]
mod bare;
#[cfg(all(target_arch = "x86_64", target_os = "none"))]
pub use bare::*;

#[cfg(not(all(target_arch = "x86_64", target_os = "none")))]
mod host;
#[cfg(not(all(target_arch = "x86_64", target_os = "none")))]
pub use host::*;

/// What `cpuid` answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpuid {
    /// EAX.
    pub(crate) eax: u32,
    /// EBX.
    pub(crate) ebx: u32,
    /// ECX.
    pub(crate) ecx: u32,
    /// EDX.
    pub(crate) edx: u32,
}
