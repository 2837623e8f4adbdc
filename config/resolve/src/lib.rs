// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From description, board and programs to the plan, or diagnostics.
//!
//! The first half ends with a validated [`model::System`] per board; lowering turns it and the
//! built programs into the plan.

pub mod check;
mod derive;
pub mod environment;
pub mod explain;
pub mod guest;
pub mod lower;
pub mod model;
pub mod render;
mod rules;
mod without;
