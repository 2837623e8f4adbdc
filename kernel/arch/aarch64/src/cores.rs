// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The other cores: PSCI CPU_ON by SMC (Arm DEN 0022, §5.6), and the moment at which all begin.
//!
//! ```text
//!   boot core                       core n
//!   ─────────                       ──────
//!   CPU_ON ───────────────────────► boot.S: MMU on with the kernel's table
//!   waits for all ◄──── here ────── interrupt controller, timer, registers
//!   epoch = now + 1 ms ───────────► begins its first frame at the epoch
//! ```

use crate::core_block::core_of;
use crate::refusal::{Refusal, same};
use crate::registers::{clean_to_memory, secure_monitor_call};
use crate::timer::Clock;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// CPU_ON, in the 64-bit convention.
const CPU_ON: u64 = 0xc400_0003;
/// How long after the last core is there the first frame begins, in nanoseconds.
const LEAD: u64 = 1_000_000;
/// How long boot waits for a core, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// TTBR0_EL2 of the kernel's table. boot.S reads it on a core whose MMU is still off.
#[unsafe(export_name = "parzelle_ttbr")]
static TTBR: AtomicU64 = AtomicU64::new(0);

/// Cores that are ready.
static READY: AtomicUsize = AtomicUsize::new(0);
/// When the first frame begins; 0 until that is known.
static EPOCH: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    /// boot.S.
    fn parzelle_secondary();
    /// Continues on a core's own stack with its first frame (boot.S).
    ///
    /// # Safety
    /// `core` is this core's, prepared, and nothing on its stack is needed any more.
    #[link_name = "parzelle_run"]
    pub(crate) fn run(core: u64, epoch: u64) -> !;
}

/// Starts core `core`, whose block is prepared.
pub(crate) fn start(core: usize, mpidr: u64, ttbr: u64) -> Result<(), Refusal> {
    TTBR.store(ttbr, Relaxed);
    clean_to_memory(TTBR.as_ptr() as u64, size_of_val(&TTBR) as u64);
    let entry = parzelle_secondary as *const () as u64;
    let status = secure_monitor_call(CPU_ON, [mpidr, entry, core_of(core) as u64]);
    // The return code has 32 bits in the older convention.
    same("the firmware's answer to the start of core", Some(core), 0, status & 0xffff_ffff)
}

/// Waits until `count` cores beside this one are ready, then sets the epoch.
pub(crate) fn agree(count: usize, clock: &Clock) -> Result<u64, Refusal> {
    let limit = clock.now().saturating_add(PATIENCE);
    while READY.load(Acquire) < count {
        if clock.now() > limit {
            same("cores that came up", None, count as u64, READY.load(Relaxed) as u64)?;
        }
        core::hint::spin_loop();
    }
    let epoch = clock.now() + LEAD;
    EPOCH.store(epoch, Release);
    Ok(epoch)
}

/// Says that this core is ready; returns the epoch.
pub(crate) fn join() -> u64 {
    READY.fetch_add(1, Release);
    loop {
        let epoch = EPOCH.load(Acquire);
        if epoch != 0 {
            return epoch;
        }
        core::hint::spin_loop();
    }
}
