// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Building of static page tables, over a format.
//!
//! Everything that exists is in the plan, so page tables are built once, at boot, before anything
//! walks them; they are never changed afterwards. One walker serves every table that this kernel
//! builds; what differs between architectures and translation stages is a [`Format`]: where the
//! root stands, how an entry is written down, and what it can express.
//!
//! ```text
//!           Format                                        Tables
//!   Stage2 GuestStage2 El2 LongMode SecondLevel  Arena (boot)  Counting (host)
//!              \    how an entry reads            /  where tables lie
//!               '----------> map  <--------------'
//!                            translate, leaves, audit   what the hardware will see
//!                            subtree -> link            the half that roots have in common
//! ```
//!
//! All formats have 4 KiB pages and nine bits of address per [`Level`]:
//!
//! ```text
//!   one entry spans    512 GiB      1 GiB       2 MiB       4 KiB
//!   LongMode           root         table       leaf|table  leaf      48 bits, sign-extended
//!   Stage2, El2                     root: leaf| leaf|table  leaf      39 bits
//!                                   table
//!   SecondLevel                     root: table table       leaf      39 bits
//! ```
//!
//! Rules kept here, so that no caller has to remember them:
//!
//! - **Nothing is writable and executable**, except in [`GuestStage2`], behind which a guest keeps
//!   its own rules in tables of its own.
//! - **Nothing is mapped twice.** A mapping that meets another is refused before anything is written.
//! - **Nothing becomes visible through a side door.** A subtree that several roots share can't be
//!   extended through a root that was only given a link to it.
//! - **An entry is written once**, and a table is linked while it is all zero: at every moment in
//!   between, what a walk finds is part of what was asked for.
//!
//! No barriers and no TLB maintenance: the caller orders its writes before it loads a root.

#![cfg_attr(not(any(test, feature = "host")), no_std)]
#![forbid(unsafe_code)]

mod arena;
mod error;
mod format;
#[cfg(any(test, feature = "host"))]
mod host;
#[cfg(any(test, feature = "host"))]
mod leaves;
mod level;
mod link;
mod mapping;
mod tables;
mod walk;

#[cfg(test)]
mod tests;

pub use arena::{Arena, Frame};
pub use error::MapError;
pub use format::{AnyStage2, El2, Entry, Format, GuestStage2, LongMode, SecondLevel, Stage2, Table};
#[cfg(any(test, feature = "host"))]
pub use host::{Counting, tables_needed};
#[cfg(any(test, feature = "host"))]
pub use leaves::{Finding, Leaves, Malformed, audit, leaves};
pub use level::Level;
pub use link::{Subtree, link, subtree};
pub use mapping::{Access, Leaf, Mapping, Memory, Pa};
pub use tables::{ENTRIES, NOT_A_TABLE, Tables};
pub use walk::{map, translate};
