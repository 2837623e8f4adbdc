// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The other cores: PSCI CPU_ON by SMC (Arm DEN 0022, §5.6), and the moment at which all begin.
//!
//! ```text
//!   boot core                       core n
//!   ─────────                       ──────
//!   ticket n, CPU_ON ─────────────► boot.S: MMU on with the ticket's table
//!   waits for all ◄──── here ────── interrupt controller, timer, registers
//!   epoch = now + 1 ms ───────────► begins its first frame at the epoch
//! ```

use crate::core_block::{CORES_MAX, Core, core_of};
use crate::refusal::Refusal;
use crate::registers::{clean_to_memory, secure_monitor_call};
use crate::timer::Clock;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// CPU_ON, in the 64-bit convention.
const CPU_ON: u64 = 0xc400_0003;
/// How long after the last core is there the first frame begins, in nanoseconds.
const LEAD: u64 = 1_000_000;
/// How long boot waits for a core, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// What a core reads when it starts, before its MMU is on. boot.S knows the layout.
#[repr(C, align(64))]
struct Ticket {
    ttbr: AtomicU64,
    stack: AtomicU64,
    number: AtomicU64,
}

static TICKETS: [Ticket; CORES_MAX] =
    [const { Ticket { ttbr: AtomicU64::new(0), stack: AtomicU64::new(0), number: AtomicU64::new(0) } }; CORES_MAX];

/// Cores that are ready.
static READY: AtomicUsize = AtomicUsize::new(0);
/// When the first frame begins; 0 until that is known.
static EPOCH: AtomicU64 = AtomicU64::new(0);

#[cfg(target_arch = "aarch64")]
unsafe extern "C" {
    /// boot.S.
    #[link_name = "parzelle_secondary"]
    fn secondary();
    /// boot.S.
    #[link_name = "parzelle_run"]
    fn run_asm(core: u64, epoch: u64) -> !;
}

/// Where a secondary core begins.
fn entry() -> u64 {
    #[cfg(target_arch = "aarch64")]
    {
        secondary as *const () as u64
    }
    #[cfg(not(target_arch = "aarch64"))]
    0
}

/// Continues on a core's own stack with its first frame.
///
/// # Safety
/// `core` is this core's, prepared, and nothing on its stack is needed any more.
pub(crate) unsafe fn run(core: *mut Core, epoch: u64) -> ! {
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: the caller's promise.
        unsafe { run_asm(core as u64, epoch) }
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        let _ = (core, epoch);
        crate::halt::halt(parzelle_core::machine::Halt::Fail)
    }
}

/// Starts core `core`, whose block is prepared.
pub(crate) fn start(core: usize, mpidr: u64, ttbr: u64) -> Result<(), Refusal> {
    let Some(ticket) = TICKETS.get(core) else { return Err(Refusal::CoreStart { core, status: 0 }) };
    ticket.ttbr.store(ttbr, Relaxed);
    ticket.stack.store(core_of(core) as u64, Relaxed);
    ticket.number.store(core as u64, Relaxed);
    let address = core::ptr::from_ref(ticket) as usize;
    clean_to_memory(address, size_of::<Ticket>());
    let status = secure_monitor_call(CPU_ON, [mpidr, entry(), address as u64]) as i64;
    // The return code has 32 bits in the older convention.
    if status as i32 == 0 { Ok(()) } else { Err(Refusal::CoreStart { core, status }) }
}

/// Waits until `count` cores beside this one are ready, then sets the epoch.
pub(crate) fn agree(count: usize, clock: &Clock) -> Result<u64, Refusal> {
    let limit = clock.now().saturating_add(PATIENCE);
    while READY.load(Acquire) < count {
        if clock.now() > limit {
            return Err(Refusal::CoreStart { core: READY.load(Relaxed) + 1, status: -1 });
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn the_assembly_knows_tickets() {
        assert_eq!(offset_of!(Ticket, ttbr), 0);
        assert_eq!(offset_of!(Ticket, stack), 8);
        assert_eq!(offset_of!(Ticket, number), 16);
    }
}
