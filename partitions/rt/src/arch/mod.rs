// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What differs between processors: the first instructions, the upcall trampoline, the layout of
//! frames and FP registers. The same names in every file; nothing else asks for the architecture.

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod aarch64;
#[cfg(not(target_os = "none"))]
mod host;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod x86_64;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub use aarch64::*;
#[cfg(not(target_os = "none"))]
pub use host::*;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use x86_64::*;
