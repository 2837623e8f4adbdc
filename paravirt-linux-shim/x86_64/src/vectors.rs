// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The assembly, with the numbers that it takes from Rust.

use core::arch::global_asm;
use core::mem::offset_of;

use parzelle_abi::info::layout;
use parzelle_abi::x86_64::{Guest, RESUME_FAST, RESUME_FULL, SHIM, SHIM_END};
use parzelle_xen::abi::shared::at;
use parzelle_xen::abi::{DOMID_SELF, Hypercall};
use parzelle_xen::traps::CHOSEN;

use crate::descriptor::NUMBER_SELECTOR;
use crate::own::{
    ASIDE, CALL, Cause, EXIT, FAULT, GS_KERNEL, GS_USER, INFO, KEPT, KERNEL_SP, OWN, RAM, RAM_BYTES, ROOT, SAVE,
    SYSCALL, TRAP,
};
use crate::short::QUICK;
use crate::vcpu::{USER_CODE, USER_DATA, Vcpu};

global_asm!(
    include_str!("vectors.S"),
    OWN = const OWN,
    SAVE = const SAVE,
    EXIT = const EXIT,
    CALL = const CALL,
    KERNEL_SP = const KERNEL_SP,
    SYSCALL = const SYSCALL,
    INFO = const INFO,
    GS_KERNEL = const GS_KERNEL,
    GS_USER = const GS_USER,
    TRAP = const TRAP,
    FAULT = const FAULT,
    ROOT = const ROOT,
    RAM = const RAM,
    RAM_BYTES = const RAM_BYTES,
    KEPT = const KEPT,
    QUICK = const QUICK,
    ASIDE = const ASIDE,
    CR2 = const at::CR2,
    MASK = const at::UPCALL_MASK,
    RIP = const offset_of!(Guest, rip),
    CS = const offset_of!(Guest, cs),
    RFLAGS = const offset_of!(Guest, rflags),
    RSP = const offset_of!(Guest, rsp),
    SS = const offset_of!(Guest, ss),
    RAX = const offset_of!(Guest, rax),
    RCX = const offset_of!(Guest, rcx),
    R11 = const offset_of!(Guest, r11),
    VECTOR = const offset_of!(Guest, vector),
    ERROR = const offset_of!(Guest, error),
    ADDRESS = const offset_of!(Guest, address),
    PENDING = const offset_of!(Guest, pending),
    STACK = const offset_of!(Vcpu, stack),
    GUEST = const offset_of!(Vcpu, guest),
    USER_CODE = const USER_CODE,
    USER_DATA = const USER_DATA,
    CHOSEN = const CHOSEN,
    IRET = const Hypercall::Iret as u32,
    GUEST_CALL = const Cause::GuestCall as u32,
    GUEST_TRAP = const Cause::GuestTrap as u32,
    GUEST_EVENT = const Cause::GuestEvent as u32,
    GUEST_PENDING = const Cause::GuestPending as u32,
    HOST_CALL = const Cause::HostCall as u32,
    HOST_TRAP = const Cause::HostTrap as u32,
    HOST_EVENT = const Cause::HostEvent as u32,
    HOST_PENDING = const Cause::HostPending as u32,
    RETURNED = const Cause::Returned as u32,
    EXIT_FAULT = const Cause::ExitFault as u32,
    RESUME_FAST = const RESUME_FAST.cast_signed(),
    RESUME_FULL = const RESUME_FULL.cast_signed(),
    SHIM = const SHIM,
    SHIM_LAST = const SHIM_END - 1,
    // Stacks of the shim lie above the vCPU pages, both in the first 4 GiB.
    STACKS = const layout::LOADER,
    turn = sym crate::run::turn,
    short = sym crate::short::short,
    single = sym crate::short::single,
    NUMBER = const NUMBER_SELECTOR,
    first = sym crate::run::FIRST,
    roots = sym crate::short::roots,
    flush = sym crate::short::flush,
    SELF = const DOMID_SELF,
    MMU_UPDATE = const Hypercall::MmuUpdate as u32,
    MMUEXT_OP = const Hypercall::MmuextOp as u32,
    STACK_SWITCH = const Hypercall::StackSwitch as u32,
    SEGMENT_BASE = const Hypercall::SetSegmentBase as u32,
    TASK_SWITCH = const Hypercall::FpuTaskSwitch as u32,
    SWITCHED = const offset_of!(Vcpu, task_switched),
);

unsafe extern "C" {
    /// Goes to the guest; never comes back.
    pub(crate) fn enter(vcpu: *mut u64) -> !;
    /// Places, not functions.
    pub(crate) fn exit_kernel();
    pub(crate) fn exit_fast();
    pub(crate) fn exit_full();
    pub(crate) fn direct_return();
    pub(crate) fn bounce();
    pub(crate) fn bounce_slow();
    pub(crate) fn trap_short();
    pub(crate) fn trap_slow();
}
