// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest vCPU: its context in the vCPU page, and the call that runs it.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use parzelle_abi::aarch64::{Guest, LIST_REGISTERS, VirtualInterrupt};
use parzelle_abi::vcpu_page::GUEST;
use parzelle_abi::{Call, Error};
use parzelle_rt::VcpuPage;
use parzelle_shim_board::gic::ListRegister;
use parzelle_shim_board::machine::Vmm;

/// [`Guest::traps`]: WFI exits, so that the partition sleeps when its guest does.
const EXIT_ON_WFI: u64 = 1;
/// [`Guest::traps`]: the guest has been given its timer's interrupt; the timer itself shall not exit.
const TIMER_GIVEN: u64 = 2;

/// The vCPUs that were made, as a mask.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A vCPU that is not running: as long as this is borrowed, the guest's registers are the shim's.
#[derive(Debug)]
pub struct Vcpu {
    index: usize,
    guest: NonNull<Guest>,
    lists: [ListRegister; LIST_REGISTERS],
    /// How many list registers the guest was given last.
    used: usize,
}

impl Vcpu {
    /// The vCPU with this number and page, for who runs on it. `None` the second time, and on a
    /// host.
    #[must_use]
    pub fn new(page: &VcpuPage, index: usize) -> Option<Self> {
        let memory = page.memory().part(GUEST, size_of::<Guest>() as u64)?;
        let guest = NonNull::new(memory.address() as *mut Guest)?;
        let bit = 1u32.checked_shl(index as u32)?;
        if MADE.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return None;
        }
        Some(Self { index, guest, lists: [ListRegister::default(); LIST_REGISTERS], used: 0 })
    }

    /// Its number, which is also its affinity.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The guest's registers.
    #[inline]
    pub fn guest(&mut self) -> &mut Guest {
        // SAFETY: `new` proved that the vCPU page holds a `Guest` there, at an aligned place; any
        // bytes are one. The kernel touches it only while this vCPU is in `run`, which takes `self`
        // exclusively, and `Vcpu` is not made twice for one page (`MADE`).
        unsafe { self.guest.as_mut() }
    }

    /// Makes it a processor that was just reset and begins at `entry`, with `x0` = `argument`.
    pub fn reset(&mut self, entry: u64, argument: u64) {
        let mpidr = self.index as u64;
        let guest = self.guest();
        guest.frame.x = [0; 31];
        guest.frame.x[0] = argument;
        guest.frame.pc = entry;
        guest.interrupts = [VirtualInterrupt::default(); LIST_REGISTERS];
        (guest.mpidr, guest.traps, guest.reset) = (mpidr, EXIT_ON_WFI, 1);
        guest.debug_control = 0;
        self.used = 0;
    }

    /// The guest's timer has expired while it waited: it is given the interrupt, without an exit for
    /// that.
    pub fn timer_expired(&mut self, vmm: &mut Vmm) {
        self.guest().traps |= TIMER_GIVEN;
        vmm.timer_fired(self.index, false);
    }

    /// Gives the guest the interrupts that it shall see next: mostly none.
    #[inline(always)]
    pub fn fill(&mut self, vmm: &mut Vmm) {
        if self.used != 0 || !vmm.enter_idle(self.index) {
            self.fill_lists(vmm);
        }
    }

    #[inline(never)]
    fn fill_lists(&mut self, vmm: &mut Vmm) {
        self.used = vmm.enter(self.index, &mut self.lists);
        self.guest().interrupts = self.lists.map(VirtualInterrupt::from);
    }

    /// Takes back what has become of them.
    #[inline]
    pub fn fold(&mut self, vmm: &mut Vmm) {
        if self.used != 0 {
            self.lists = self.guest().interrupts.map(ListRegister::from);
            vmm.leave(self.index, &self.lists);
        }
    }

    /// Runs the guest until it exits or an event of `interest` is pending.
    ///
    /// # Errors
    /// The kernel's; then the guest did not run.
    #[inline]
    pub fn run(&mut self, interest: u64) -> Result<(), parzelle_rt::Error> {
        // SAFETY: the kernel writes to the guest's context only, to which no reference lives here;
        // the guest itself reaches its own memory only, of which the shim holds none any more.
        let (status, _) = unsafe { parzelle_sys::call(Call::RunGuest as u64, [interest, 0, 0, 0, 0]) };
        match status {
            0 => Ok(()),
            _ => Err(Error::from_number(status).unwrap_or(Error::NotSupported).into()),
        }
    }
}
