// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! One turn: the guest was left, something is done about it, the guest goes on.
//!
//! ```text
//!   begin ─▶ hypercall, trap ─▶ what comes of it ─▶ events? ─▶ upcall? ─▶ finish
//!                                 │ wait, yield       ▲
//!                                 └───────────────────┘
//! ```
//! Each turn ends with the guest going on, or never: a guest that has come to an end is not entered
//! again.

use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_abi::vcpu_page::VcpuHead;
use parzelle_abi::x86_64::SHIM;
use parzelle_abi::{Call, Error};
use parzelle_rt::{VcpuPage, time};
use parzelle_xen::abi::PAGE;
use parzelle_xen::abi::mmu::MmuUpdate;
use parzelle_xen::domain::{Next, Turn};

use crate::calls::Calls;
use crate::deliver::vector;
use crate::failure::Failure;
use crate::host::VcpuHost;
use crate::machine::Shared;
use crate::own::{self, Cause};
use crate::ram::Frame;
use crate::space::Space;
use crate::vcpu::Vcpu;

/// A vCPU with all that it needs.
#[repr(C)]
pub struct Runner {
    /// Its registers: first, because the assembly knows them.
    pub vcpu: Vcpu,
    /// Its view of the guest's memory.
    pub space: Space,
    /// Its part of the kernel.
    pub host: VcpuHost,
    /// What it shares.
    pub shared: &'static Shared,
    page: VcpuPage,
    /// Room for a part of an `mmu_update`.
    pub(crate) updates: [MmuUpdate; AT_ONCE],
    /// Where the guest and the domain look at this vCPU's `vcpu_info`.
    info: Option<(Frame, usize)>,
    /// The assembly knows all entries into the guest's kernel, and may use them.
    pub open: bool,
}

/// Updates that are copied at once.
pub(crate) const AT_ONCE: usize = 32;

#[cfg(target_os = "none")]
mod places {
    use crate::vectors;

    pub(super) fn exit(user: bool, fast: bool) -> u64 {
        let block = match (user, fast) {
            (false, _) => vectors::exit_kernel,
            (true, true) => vectors::exit_fast,
            (true, false) => vectors::exit_full,
        };
        block as *const () as u64
    }

    pub(super) fn call(short: bool) -> u64 {
        let handler = if short { vectors::bounce } else { vectors::bounce_slow };
        handler as *const () as u64
    }

    pub(super) fn trap(short: bool) -> u64 {
        let handler = if short { vectors::trap_short } else { vectors::trap_slow };
        handler as *const () as u64
    }

    pub(super) fn direct_return() -> u64 {
        vectors::direct_return as *const () as u64
    }

    pub(super) fn enter(runner: &'static mut super::Runner) -> ! {
        // SAFETY: the runner is complete, begins with its vCPU, and nobody else has it.
        unsafe { vectors::enter((&raw mut *runner).cast()) }
    }
}

/// Nobody goes anywhere on a host.
#[cfg(not(target_os = "none"))]
mod places {
    pub(super) fn exit(_: bool, _: bool) -> u64 {
        0
    }
    pub(super) fn call(_: bool) -> u64 {
        0
    }
    pub(super) fn trap(_: bool) -> u64 {
        0
    }
    pub(super) fn direct_return() -> u64 {
        0
    }
    pub(super) fn enter(_: &'static mut super::Runner) -> ! {
        parzelle_rt::time::idle()
    }
}

/// The block by which the guest is entered.
pub(crate) fn exit(user: bool, fast: bool) -> u64 {
    places::exit(user, fast)
}

/// What handles system calls: in assembly, or here.
pub(crate) fn call(short: bool) -> u64 {
    places::call(short)
}

/// What handles exceptions of user programs: likewise.
pub(crate) fn trap(short: bool) -> u64 {
    places::trap(short)
}

/// Where the guest's kernel may jump to instead of its hypercall `iret`.
pub(crate) fn direct_return() -> u64 {
    places::direct_return()
}

/// Where vCPU 0 has its `Guest`, and `ASIDE` behind that, for the assembly: that of vCPU n lies n pages further.
pub(crate) static FIRST: AtomicU64 = AtomicU64::new(0);

impl Runner {
    /// The vCPU of that number, before its first instruction.
    #[must_use]
    pub fn new(shared: &'static Shared, index: u32) -> Option<Self> {
        let page = VcpuPage::of(index)?;
        let (_, zero, scale) = page.counter();
        let vcpu = Vcpu::new(&page, index)?;
        let first = vcpu.guest.as_ptr() as u64 - u64::from(index) * PAGE;
        FIRST.store(first + own::ASIDE as u64, Ordering::Relaxed);
        let table = (shared.ram.machine_to_physical_address(), shared.ram.frames());
        let space = Space::new(shared, Calls::new(vcpu.guest, index, table));
        let host = VcpuHost::new(shared, (zero, scale));
        let updates = [MmuUpdate::default(); AT_ONCE];
        Some(Self { vcpu, space, host, shared, page, updates, info: None, open: false })
    }

    /// Asks the kernel for events: from now on they come to the vectors while the guest runs.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ask_for_events(&self) -> Result<(), Failure> {
        // For a guest, the entry only says that there is one.
        let arguments = [SHIM, 0, self.host.interest(), 0, 0];
        // SAFETY: no memory is handed over; the vectors are made to be entered so.
        let (status, _) = unsafe { parzelle_sys::call(Call::SetUpcall as u64, arguments) };
        match status {
            0 => Ok(()),
            _ => Err(parzelle_rt::Error::from(Error::from_number(status).unwrap_or(Error::NotSupported)).into()),
        }
    }

    /// Runs the guest from where its registers say.
    pub fn live(&'static mut self) -> ! {
        self.vcpu.settle();
        self.find_info();
        *self.vcpu.own(own::RAM) = self.shared.ram.address();
        *self.vcpu.own(own::RAM_BYTES) = self.shared.ram.frames() * PAGE;
        self.find_root();
        let turn = self.shared.domain.before_guest(self.vcpu.index, &self.space, &self.host);
        let result = self.go_on(turn);
        self.conclude(result);
        self.finish();
        places::enter(self)
    }

    /// Where the guest and the domain look at this vCPU's `vcpu_info`.
    #[must_use]
    pub const fn info(&self) -> Option<(Frame, usize)> {
        self.info
    }

    /// Looks where that is, and tells the assembly.
    pub fn find_info(&mut self) {
        self.info = self.shared.domain.channels().vcpu_info(self.vcpu.index);
        if let Some((page, at)) = self.info {
            *self.vcpu.own(own::INFO) = page.address(at);
        }
    }

    /// Tells the assembly where the root of the guest's user programs is.
    pub fn find_root(&mut self) {
        *self.vcpu.own(own::ROOT) = self.space.user_root();
    }

    /// One turn.
    fn turn(&mut self, cause: Cause) -> Result<(), Failure> {
        let next = match cause {
            Cause::HostCall => self.hypercall()?,
            Cause::GuestCall => {
                self.system_call()?;
                Next::Resume
            }
            Cause::GuestTrap | Cause::HostTrap => {
                self.trap()?;
                Next::Resume
            }
            Cause::ExitFault => {
                self.refused()?;
                Next::Resume
            }
            Cause::GuestEvent | Cause::HostEvent => {
                let events = self.page.memory().load_u64(core::mem::offset_of!(VcpuHead, events) as u64);
                self.take(events.unwrap_or(0));
                Next::Resume
            }
            Cause::GuestPending | Cause::HostPending | Cause::Returned => Next::Resume,
        };
        let (index, domain) = (self.vcpu.index, &self.shared.domain);
        if let Next::Shutdown(reason) = next {
            return crate::machine::ended(self.shared, reason);
        }
        let turn = if next == Next::Resume {
            if core::mem::take(&mut self.vcpu.has_news) {
                domain.before_guest(index, &self.space, &self.host)
            } else if self.is_deliverable() {
                Turn::Upcall
            } else {
                Turn::Run
            }
        } else {
            domain.pause(index, next, &self.space, &self.host)
        };
        self.go_on(turn)
    }

    /// Does what the domain says, and looks at events until there are none.
    fn go_on(&mut self, turn: Turn) -> Result<(), Failure> {
        let mut turn = turn;
        while self.vcpu.take_pending() {
            let news = self.host.poll();
            self.shared.domain.events(self.vcpu.index, news);
            turn = match turn {
                Turn::Over => Turn::Over,
                _ => self.shared.domain.before_guest(self.vcpu.index, &self.space, &self.host),
            };
        }
        match turn {
            Turn::Run => Ok(()),
            Turn::Upcall => self.upcall(),
            // Whoever ended the guest has said so.
            Turn::Over => time::idle(),
        }
    }

    /// Takes note of events that the kernel has taken.
    fn take(&mut self, events: u64) {
        let news = self.host.news(events);
        self.shared.domain.events(self.vcpu.index, news);
        self.vcpu.has_news = true;
    }

    /// The end of the guest, if that is what came of it.
    fn conclude(&mut self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.shared.domain.end(self.vcpu.index, &self.host);
            crate::machine::fail(self, &failure);
        }
    }

    /// Hands over to the exit.
    fn finish(&mut self) {
        let closed = self.vcpu.user && self.is_masked();
        if closed || !self.open {
            self.open_entries(!closed);
        }
        self.vcpu.finish();
    }

    /// Tells the assembly by which entries user programs come to the guest's kernel: none unless `open`.
    #[inline(never)]
    fn open_entries(&mut self, open: bool) {
        let callbacks = self.vcpu.callbacks;
        let has_stack = *self.vcpu.own(own::KERNEL_SP) != 0;
        let calls = callbacks.syscall != 0 && callbacks.syscall_masks && has_stack;
        *self.vcpu.own(own::CALL) = call(calls && open);
        let gate = self.vcpu.traps.gate(vector::PAGE).filter(|gate| gate.masks_events);
        let traps = gate.is_some() && has_stack;
        *self.vcpu.own(own::FAULT) = gate.map_or(0, |gate| gate.address);
        *self.vcpu.own(own::TRAP) = trap(traps && open);
        self.open = open && calls && traps;
    }
}

/// Called by the assembly when the guest was left; the assembly then goes where `finish` says.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) extern "C" fn turn(runner: &mut Runner, cause: u64) {
    let cause = Cause::ALL.get(cause as usize).copied().unwrap_or(Cause::ExitFault);
    if matches!(cause, Cause::GuestTrap | Cause::HostTrap) && runner.quick_fault(cause.is_user()) {
        return;
    }
    runner.vcpu.begin(cause);
    let result = runner.turn(cause);
    runner.conclude(result);
    runner.finish();
}
