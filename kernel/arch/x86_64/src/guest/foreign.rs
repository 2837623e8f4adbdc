// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What `foreign.S` goes by: where things lie in the context page (`Context`, `Sides`), in the guest's part of
//! the vCPU page (the interface's `Guest`), and in the core's block.
#![cfg(target_os = "none")]

use super::sides::{FLAGS, OWN_END, SIDES, Sides};
use crate::context::{Context, SAVED};
use crate::descriptors::{USER_CODE_32, USER_DATA};
use crate::fault;
use crate::percore::{PerCore, SAVE};
use crate::registers::flags::{RF, TF};
use crate::registers::sanitised;
use core::mem::offset_of;
use parzelle_abi::x86_64::{Guest, RESUME_FULL, SHIM_END, vector};

core::arch::global_asm!(
    include_str!("foreign.S"),
    USER_SP = const offset_of!(PerCore, user_sp),
    SAVE = const SAVE,
    SAVED = const SAVED,
    STACK_TOP = const offset_of!(PerCore, stack_top),
    CORE = const offset_of!(PerCore, core),
    // #GP, the number that the manual has for it.
    GP = const 13,
    DB = const fault::DB,
    UD = const fault::UD,
    USER_DATA = const USER_DATA,
    USER_CODE_32 = const USER_CODE_32,
    PF = const fault::PF,
    STEP = const TF | RF,
    VECTOR = const offset_of!(Context, vector),
    ERROR = const offset_of!(Context, error),
    RIP = const offset_of!(Context, rip),
    CS = const offset_of!(Context, cs),
    RFLAGS = const offset_of!(Context, rflags),
    RSP = const offset_of!(Context, rsp),
    SS = const offset_of!(Context, ss),
    OWN_END = const OWN_END,
    VECTORS = const SIDES + offset_of!(Sides, vectors) as u64,
    PAGE = const SIDES + offset_of!(Sides, page) as u64,
    PAGE_USER = const SIDES + offset_of!(Sides, page_user) as u64,
    HOST_ROOT = const SIDES + offset_of!(Sides, roots) as u64,
    GUEST_ROOT = const SIDES + offset_of!(Sides, roots) as u64 + 8,
    G_RIP = const offset_of!(Guest, rip),
    G_CS = const offset_of!(Guest, cs),
    G_RFLAGS = const offset_of!(Guest, rflags),
    G_RSP = const offset_of!(Guest, rsp),
    G_SS = const offset_of!(Guest, ss),
    G_RAX = const offset_of!(Guest, rax),
    G_RCX = const offset_of!(Guest, rcx),
    G_R11 = const offset_of!(Guest, r11),
    G_VECTOR = const offset_of!(Guest, vector),
    G_ERROR = const offset_of!(Guest, error),
    G_ADDRESS = const offset_of!(Guest, address),
    G_QUEUED = const offset_of!(Guest, queued),
    HOST = const vector::HOST,
    TRAP = const vector::GUEST_TRAP,
    FULL = const RESUME_FULL.cast_signed(),
    SHIM_END = const SHIM_END,
    GUEST_END = const i64::MIN,
    FLAGS = const FLAGS,
    CLEAN = const sanitised(0),
);
