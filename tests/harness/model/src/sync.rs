// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The model checker's atomic words and lock, in place of the kernel core's.

pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64};
use shuttle::sync::{Mutex, MutexGuard, PoisonError};

/// A lock with the interface of the kernel's. It may be given to anybody who waits: more orders
/// than a FIFO has.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
