// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What cores share lies in these: atomic words, and a FIFO lock.
//!
//! All of the core takes them from here, so that a model checker can put its own in their place
//! (`tests/harness/model` compiles these same files with another `sync`). A word with one writer
//! that nobody decides by, an account or the trace, doesn't come from here.

pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64};
pub(crate) use spin::mutex::TicketMutex as Lock;
