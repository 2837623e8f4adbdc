// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The description file as it is written: TOML → typed tree, in which everything has a place.
//!
//! ```text
//!  text ─► tree ─► merge (once per board) ─► reader ─► file::Description
//!    │ form: PZ0001, PZ0003     PZ0010          │ PZ0002, PZ0004–PZ0009, PZ0012
//!    └──────────────────► diagnostics ◄─────────┘
//! ```
//!
//! Nothing is looked up here and no rule of the system is checked: that is `parzelle-resolve`.
//! Two things hold for every reader: it reports *everything* it finds, and one mistake leads to
//! one finding ([`reader::Field`]).

pub mod board;
pub mod diagnostic;
pub mod file;
pub mod form;
pub mod keys;
pub mod merge;
pub mod nearest;
pub mod reader;
pub mod source;
pub mod text;
pub mod tree;
