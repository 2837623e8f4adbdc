// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the kernel decides, in safe Rust.
#![cfg_attr(not(any(test, feature = "fake")), no_std)]
#![forbid(unsafe_code)]

mod boot;
mod kernel;
pub mod machine;

pub use boot::{Booted, Refusal, boot, check};
pub use kernel::{CoreData, CoreState, Shared};
