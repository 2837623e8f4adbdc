// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The assembly: vectors, exits, guarded routines.

use core::arch::global_asm;
use core::mem::offset_of;

use parzelle_rt::abi::info::layout;
use parzelle_rt::abi::x86_64::Guest;

global_asm!(
    include_str!("vectors.S"),
    OWN = const offset_of!(Guest, own),
    PENDING = const offset_of!(Guest, pending),
    STACKS = const layout::LOADER,
    turn = sym crate::turn,
);

/// A guarded routine: 0, or 1 if it faulted.
pub(crate) type Guarded = unsafe extern "C" fn(u64, u64) -> u64;

unsafe extern "C" {
    pub(crate) fn guarded_load(address: u64, _: u64) -> u64;
    pub(crate) fn guarded_store(address: u64, value: u64) -> u64;
    pub(crate) fn guarded_ds(selector: u64, _: u64) -> u64;
    pub(crate) fn guarded_es(selector: u64, _: u64) -> u64;
    pub(crate) fn guarded_fs(selector: u64, _: u64) -> u64;
    pub(crate) fn guarded_gs(selector: u64, _: u64) -> u64;
    pub(crate) fn guarded_ss(selector: u64, _: u64) -> u64;
    pub(crate) fn guarded_look(selector: u64, _: u64) -> u64;
    pub(crate) fn guarded_task(_: u64, _: u64) -> u64;
    pub(crate) fn guarded_hlt(_: u64, _: u64) -> u64;
    pub(crate) fn guarded_int(_: u64, _: u64) -> u64;
    pub(crate) fn guarded_cr(_: u64, _: u64) -> u64;
    pub(crate) fn exit_iretq();
    pub(crate) fn exit_fast();
    pub(crate) fn exit_full();
    pub(crate) fn exit_odd();
    pub(crate) fn depart(registers: *const [u64; 12], guest: *mut Guest, exit: u64) -> !;
    /// Where the pieces of foreign code begin and end.
    pub(crate) static pieces: u8;
    pub(crate) static pieces_end: u8;
}

/// Those that load a segment register.
pub(crate) const LOADS: [Guarded; 6] = [guarded_ds, guarded_es, guarded_fs, guarded_gs, guarded_ss, guarded_look];
/// Those that ring 3 may not do (`guarded_task`: not where UMIP is).
pub(crate) const FORBIDDEN: [Guarded; 3] = [guarded_hlt, guarded_int, guarded_cr];
