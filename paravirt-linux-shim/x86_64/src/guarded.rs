// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Touching memory that may not be there.
//!
//! The routines lie in the vectors, where a fault is no error of this partition: the kernel goes on
//! at `REPAIR`, and that returns failure to who called the routine.

use parzelle_xen::abi::PAGE;

use crate::instructions::{gs_base, set_gs_base};

/// Something was not mapped, or not for this; what, is in the vCPU page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

#[cfg(target_os = "none")]
mod routines {
    /// Status in rax, value in rdx.
    #[repr(C)]
    pub(super) struct Answer {
        pub(super) failed: u64,
        pub(super) value: u64,
    }

    unsafe extern "C" {
        pub(super) fn guarded_copy(to: u64, from: u64, bytes: u64) -> u64;
        pub(super) fn guarded_load(from: u64) -> Answer;
        fn guarded_pair();
        pub(super) fn guarded_store(to: u64, value: u64) -> u64;
        pub(super) fn guarded_exchange(at: u64, expected: u64, new: u64) -> Answer;
        pub(super) fn guarded_gs(selector: u64) -> u64;
    }

    /// Failure, and both values.
    #[inline(always)]
    pub(super) unsafe fn pair(from: u64) -> (u64, [u64; 2]) {
        let (failed, first, second);
        // SAFETY: the routine changes no other register, and memory not at all; it uses no stack but for its return.
        unsafe {
            core::arch::asm!(
                "call {routine}",
                routine = sym guarded_pair,
                in("rdi") from,
                out("rax") failed,
                out("rdx") first,
                out("rcx") second,
                options(readonly),
            );
        }
        (failed, [first, second])
    }
}

/// Nothing is there on a host.
#[cfg(not(target_os = "none"))]
mod routines {
    pub(super) struct Answer {
        pub(super) failed: u64,
        pub(super) value: u64,
    }
    pub(super) unsafe fn guarded_copy(_: u64, _: u64, _: u64) -> u64 {
        1
    }
    pub(super) unsafe fn guarded_load(_: u64) -> Answer {
        Answer { failed: 1, value: 0 }
    }
    pub(super) unsafe fn pair(_: u64) -> (u64, [u64; 2]) {
        (1, [0; 2])
    }
    pub(super) unsafe fn guarded_store(_: u64, _: u64) -> u64 {
        1
    }
    pub(super) unsafe fn guarded_exchange(_: u64, _: u64, _: u64) -> Answer {
        Answer { failed: 1, value: 0 }
    }
    pub(super) unsafe fn guarded_gs(_: u64) -> u64 {
        1
    }
}

/// Copies from there.
///
/// # Errors
/// [`Missing`]; a part may have been copied.
///
/// # Safety
/// What lies at `from` may be read by anybody at any time: it is the guest's.
#[inline]
pub unsafe fn read(from: u64, into: &mut [u8]) -> Result<(), Missing> {
    // SAFETY: the destination is borrowed exclusively, any bytes are valid in it; a fault returns.
    done(unsafe { routines::guarded_copy(into.as_mut_ptr() as u64, from, into.len() as u64) })
}

/// Copies to there.
///
/// # Errors
/// [`Missing`]; a part may have been copied.
///
/// # Safety
/// What lies at `to` is the guest's: nobody here holds a reference to it.
pub unsafe fn write(to: u64, from: &[u8]) -> Result<(), Missing> {
    // SAFETY: the source is borrowed; the caller answers for the destination; a fault returns.
    done(unsafe { routines::guarded_copy(to, from.as_ptr() as u64, from.len() as u64) })
}

/// Reads a word, at once if it is aligned.
///
/// # Errors
/// [`Missing`].
///
/// # Safety
/// As for [`read`].
pub unsafe fn load(from: u64) -> Result<u64, Missing> {
    // SAFETY: reads only; the caller answers for what lies there; a fault returns.
    value(unsafe { routines::guarded_load(from) })
}

/// Reads two words.
///
/// # Errors
/// [`Missing`].
///
/// # Safety
/// As for [`read`].
#[inline(always)]
pub unsafe fn pair(from: u64) -> Result<[u64; 2], Missing> {
    // SAFETY: reads only; the caller answers for what lies there; a fault returns.
    let (failed, values) = unsafe { routines::pair(from) };
    done(failed).map(|()| values)
}

/// Writes a word, at once if it is aligned.
///
/// # Errors
/// [`Missing`].
///
/// # Safety
/// As for [`write`].
pub unsafe fn store(to: u64, value: u64) -> Result<(), Missing> {
    // SAFETY: the caller answers for the destination; a fault returns.
    done(unsafe { routines::guarded_store(to, value) })
}

/// Writes `new` if `expected` is there; what was there.
///
/// # Errors
/// [`Missing`].
///
/// # Safety
/// As for [`write`].
pub unsafe fn exchange(at: u64, expected: u64, new: u64) -> Result<u64, Missing> {
    // SAFETY: the caller answers for the place; a fault returns.
    value(unsafe { routines::guarded_exchange(at, expected, new) })
}

/// Loads a selector into GS, which also changes its base.
///
/// # Errors
/// [`Missing`]: no segment that could be loaded; GS is as before.
pub fn load_gs(selector: u16) -> Result<(), Missing> {
    // SAFETY: the shim doesn't use GS, and keeps the guest's base elsewhere; a fault returns.
    done(unsafe { routines::guarded_gs(selector.into()) })
}

/// Whether that clears the base, if the selector is null: it does on Intel's processors and on AMD's latest. Leaves it
/// 0.
#[must_use]
pub fn null_clears_base() -> bool {
    set_gs_base(PAGE);
    let clears = load_gs(0).is_ok() && gs_base() == 0;
    set_gs_base(0);
    clears
}

#[inline(always)]
fn done(failed: u64) -> Result<(), Missing> {
    if failed == 0 { Ok(()) } else { Err(Missing) }
}

fn value(answer: routines::Answer) -> Result<u64, Missing> {
    done(answer.failed).map(|()| answer.value)
}
