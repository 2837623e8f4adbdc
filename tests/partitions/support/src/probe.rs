// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Probes: tiny functions that do something that may fault, and an upcall handler that leaves them
//! by their return address if they do.
//!
//! ```text
//!   probe ──► forbidden instruction ──► kernel ──► upcall: frame := "return from the probe"
//!     ▲                                              │
//!     └──────────── returns, FAULT is set ◄──────────┘
//! ```
//! This works because a probe has no frame of its own: when it faults, the return address is where
//! the caller left it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parzelle_rt::abi::health::ErrorId;
use parzelle_rt::upcall::{Fault, Upcall};

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

pub use arch::{ALLOWED, PRIVILEGED, leave, use_fp};

/// A probe: takes an address (or anything), returns what it found.
pub type Probe = unsafe extern "C" fn(u64) -> u64;

/// Reads a byte at its argument.
pub const READ: Probe = arch::read;
/// Writes a byte at its argument.
pub const WRITE: Probe = arch::write;
/// Jumps to its argument.
pub const JUMP: Probe = arch::jump;

/// A probe is under way.
static PROBING: AtomicBool = AtomicBool::new(false);
/// Error + 1 of the latest probe's fault; 0 for none.
static ERROR: AtomicU64 = AtomicU64::new(0);
static SYNDROME: AtomicU64 = AtomicU64::new(0);
static ADDRESS: AtomicU64 = AtomicU64::new(0);

/// To be called by the upcall handler first: `true` if the fault was a probe's and is dealt with.
pub fn handle(upcall: &mut Upcall<'_>) -> bool {
    let Some(fault) = upcall.fault else { return false };
    if !PROBING.swap(false, Ordering::Relaxed) {
        return false;
    }
    SYNDROME.store(fault.syndrome, Ordering::Relaxed);
    ADDRESS.store(fault.address, Ordering::Relaxed);
    ERROR.store(fault.error as u64 + 1, Ordering::Relaxed);
    let mut frame = upcall.frame();
    leave(&mut frame);
    // SAFETY: probes keep the return address where the convention has it, and no frame: returning
    // from one at any of its instructions is what its `ret` would do.
    unsafe { upcall.set_frame(&frame) };
    true
}

/// Runs a probe; `Err` if it faulted.
///
/// # Errors
/// The fault.
///
/// # Safety
/// If the probe doesn't fault, what it does harms nothing that this program relies on. An upcall
/// handler is enabled that calls [`handle`].
pub unsafe fn run(probe: Probe, argument: u64) -> Result<u64, Fault> {
    ERROR.store(0, Ordering::Relaxed);
    PROBING.store(true, Ordering::Relaxed);
    // SAFETY: the caller's; a fault is left by `handle`.
    let value = unsafe { probe(argument) };
    PROBING.store(false, Ordering::Relaxed);
    match ERROR.load(Ordering::Relaxed).checked_sub(1) {
        None => Ok(value),
        Some(error) => Err(Fault {
            error: ErrorId::from_number(error).unwrap_or(ErrorId::HardwareFault),
            syndrome: SYNDROME.load(Ordering::Relaxed),
            address: ADDRESS.load(Ordering::Relaxed),
        }),
    }
}

/// Reads a byte.
///
/// # Errors
/// The fault.
pub fn read(address: u64) -> Result<u64, Fault> {
    // SAFETY: a read of normal memory changes nothing; devices that this program owns are not
    // among the addresses that tests read.
    unsafe { run(READ, address) }
}

/// Writes a byte.
///
/// # Errors
/// The fault.
///
/// # Safety
/// Nothing that this program relies on lies at `address`.
pub unsafe fn write(address: u64) -> Result<u64, Fault> {
    // SAFETY: the caller's.
    unsafe { run(WRITE, address) }
}

/// Jumps.
///
/// # Errors
/// The fault.
///
/// # Safety
/// No code of this program lies at `address`.
pub unsafe fn jump(address: u64) -> Result<u64, Fault> {
    // SAFETY: the caller's.
    unsafe { run(JUMP, address) }
}
