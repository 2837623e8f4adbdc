// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The virtual board of a guest: everything that the shim decides, and nothing that it has to ask
//! the kernel for.
//!
//! The shim runs at EL0 in the guest's own partition. It enters the guest with the call `vcpu_run`,
//! gets back a reason and the guest's registers, lets this crate react, and enters again:
//!
//! ```text
//!        vcpu_run                                       vcpu_run
//!   ────────┐                                              ┌──────▶ guest (EL1)
//!           ▼                                              │
//!     list registers ─▶ Vmm::leave      Vmm::enter ─▶ list registers
//!     ESR, IPA       ─▶ Exit::decode        ▲
//!                          │                │
//!                          └─▶ Vmm::handle ─┴─▶ Next: wait, start a vCPU, power off, crash …
//! ```
//!
//! All of it is plain logic with fixed-size state: no heap, no `unsafe`, no kernel call, the same
//! on every host. The guest is not trusted: whatever it does ends in an answer, a note or a
//! [`machine::Next::Crash`], never in a panic. And the shim is not trusted by the kernel: a mistake
//! here harms this guest's partition and nobody else.

#![no_std]
#![forbid(unsafe_code)]

pub mod exit;
pub mod fdt;
pub mod gic;
pub mod load;
pub mod machine;
pub mod map;
pub mod pl011;
pub mod psci;
pub mod registers;
pub mod sysreg;
pub mod vcpu_page;
pub mod xen;
