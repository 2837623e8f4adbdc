// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Register frames on x86-64, and what a guest partition's program and the kernel agree on.

mod guest;

pub use guest::*;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The most I/O ports of a partition, ranges added up. They are opened one range after the other when
/// a switch comes to it, with interrupts masked: the tool (PZ0710) and boot refuse more.
pub const IO_PORTS_MAX: u64 = 256;

/// The general registers of a context, as saved in a vCPU page.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Frame {
    /// rax, rbx, rcx, rdx, rsi, rdi, rbp, r8–r15.
    pub rax: u64,
    /// rbx.
    pub rbx: u64,
    /// rcx.
    pub rcx: u64,
    /// rdx.
    pub rdx: u64,
    /// rsi.
    pub rsi: u64,
    /// rdi.
    pub rdi: u64,
    /// rbp.
    pub rbp: u64,
    /// r8–r15.
    pub r: [u64; 8],
    /// The stack pointer.
    pub sp: u64,
    /// The program counter.
    pub pc: u64,
    /// RFLAGS; the kernel takes only the arithmetic flags, DF and AC, and forces IF.
    pub flags: u64,
    /// The base of FS.
    pub tls: u64,
    /// The base of GS.
    pub gs: u64,
}
