// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The UARTs that the kernel itself prints on: before the first window, and when it dies. In between
//! they belong to a partition. So: polling only, no interrupts, and no state but an address.
#![no_std]

pub mod ns16550;
pub mod pl011;
