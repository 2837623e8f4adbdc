// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The run loop of a vCPU.
//!
//! ```text
//!   parked ◄───────────────────────────────────────────────┐ CPU_OFF
//!     │ CPU_ON by another                                  │
//!     ▼                                                    │
//!   ┌─► run the guest ──► what was it? ──► the board reacts ─┬─► once more
//!   │                                                        ├─► wait: for its timer, input, others
//!   └────────────────────────────────────────────────────────┴─► the end
//! ```
//! Each turn enters the guest or ends: whatever the guest does costs it its own time only.
//!
//! What concerns another vCPU the board has noted; here that one is told, by the event [`KICK`],
//! which makes it leave the guest, `wait` or its parking place and look. vCPUs on one core take
//! turns by [`SLICE`], and when one has told another: it mostly waits for the answer.

use core::mem::take;

use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::{NEVER, event};
use parzelle_rt::{VcpuPage, time, vcpu};
use parzelle_shim_board::exit::Exit;
use parzelle_shim_board::machine::Next;
use parzelle_shim_board::psci::Start;
use parzelle_xen::abi::sched::Shutdown;
use parzelle_xen::domain;
use spin::mutex::SpinMutexGuard;

use crate::board::{Board, Outside, Shared};
use crate::clock::deadline;
use crate::failure::Failure;
use crate::vcpu::Vcpu;
use crate::xen::Xen;

/// "Look at the board", from one vCPU to another.
const KICK: u64 = 1 << event::SOFTWARE_FIRST;
/// For how long a vCPU has a core that it shares with another of this guest, in nanoseconds.
///
/// Short, because a guest's locks are queues: when the next in the queue has lost the core, the one
/// that has it spins to the end of its slice, at each lock that the two have in common. With 1 ms
/// two programs that read the same file took four times as long as one after the other; with this,
/// the same, at a cost of some percent for the slices themselves.
const SLICE: u64 = 100 * time::MICROSECOND;

/// How a guest ends that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It switched its machine off.
    PowerOff,
    /// It wants to start over.
    Reset,
}

/// A vCPU of the shim.
#[derive(Debug)]
pub struct Runner {
    shared: &'static Shared,
    vcpu: Vcpu,
    /// Which other vCPUs are on this core.
    neighbours: u32,
    /// Zero and scale of the counter.
    counter: (u64, u64),
    /// Events that make it leave the guest.
    interest: u64,
    /// Events that were taken and not looked at yet.
    news: u64,
}

impl Runner {
    /// The loop of vCPU `index`.
    ///
    /// # Errors
    /// There is no such vCPU, or it has a loop already.
    pub fn new(shared: &'static Shared, index: usize) -> Result<Self, Failure> {
        let page = VcpuPage::of(index as u32).ok_or(Failure::NoGuest)?;
        let vcpu = Vcpu::new(&page, index).ok_or(Failure::NoGuest)?;
        let (_, zero, scale) = page.counter();
        let neighbours = shared.neighbours(index);
        let slices = if neighbours == 0 { 0 } else { event::TIMER };
        let interest = shared.input_events | shared.xen.as_ref().map_or(0, |xen| xen.events) | KICK | slices;
        Ok(Self { shared, vcpu, neighbours, counter: (zero, scale), interest, news: 0 })
    }

    /// Runs the vCPU to the end of the guest: from `start`, or from when another one starts it.
    ///
    /// # Errors
    /// What the guest did that can't be continued.
    pub fn run(&mut self, start: Option<Start>) -> Result<End, Failure> {
        let mut start = start;
        loop {
            let Start { entry, context } = match start.take() {
                Some(start) => start,
                None => self.park(),
            };
            self.vcpu.reset(entry, context);
            if let Some(end) = self.serve()? {
                return Ok(end);
            }
        }
    }

    /// Waits until another vCPU starts this one. Input goes on meanwhile.
    fn park(&mut self) -> Start {
        loop {
            self.look_outside();
            let mut guard = self.look();
            let Board { vmm, input, .. } = &mut *guard;
            input.deliver(|byte| vmm.console_input(byte));
            let (start, wake) = (vmm.take_start(self.vcpu.index()), vmm.wake(self.vcpu.index()));
            drop(guard);
            self.tell(wake);
            match start {
                Some(start) => return start,
                None => self.news |= time::wait(NEVER, self.interest & !event::TIMER),
            }
        }
    }

    /// Runs the guest until it switches this vCPU off (`None`) or comes to an end.
    fn serve(&mut self) -> Result<Option<End>, Failure> {
        self.next_slice();
        self.prepare(false);
        loop {
            if let Err(refused) = self.vcpu.run(self.interest) {
                self.look().output.end_line();
                return Err(refused.into());
            }
            let reason = self.vcpu.guest().exit;
            if reason == GuestExit::Event as u64 {
                self.take_news();
            }
            let exit = Exit::of(self.vcpu.guest(), |address| self.shared.ram.read(address));
            match self.turn(exit, reason != GuestExit::Sync as u64) {
                Next::Resume => {}
                Next::Hypercall => {
                    if let Some(end) = self.hypercall()? {
                        return Ok(Some(end));
                    }
                    self.prepare(false);
                }
                Next::Yield => self.make_way(),
                Next::WaitForInterrupt { until } => {
                    let (zero, scale) = self.counter;
                    let until = until.map_or(NEVER, |ticks| deadline(ticks, zero, scale));
                    let events = time::wait(until, self.interest & !event::TIMER);
                    self.news |= events;
                    self.look_outside();
                    self.prepare(until != NEVER && events == 0);
                }
                Next::Stop => return Ok(None),
                Next::PowerOff => return Ok(Some(End::PowerOff)),
                Next::Reset => return Ok(Some(End::Reset)),
                Next::Over => return Err(Failure::Off),
                Next::Crash(report) => return Err(Failure::Crash(report)),
            }
        }
    }

    /// Lets the board react to an exit. `aside`: it was not the guest's doing; its output does not
    /// wait any longer than to the next such exit.
    #[inline(always)]
    fn turn(&mut self, exit: Exit, aside: bool) -> Next {
        let mut guard = self.look();
        let board = &mut *guard;
        let index = self.vcpu.index();
        self.vcpu.fold(&mut board.vmm);
        if aside {
            board.output.flush();
        }
        let next = board.vmm.handle(index, exit, self.vcpu.guest(), &mut Outside(&mut board.output));
        board.input.deliver(|byte| board.vmm.console_input(byte));
        match next {
            Next::Resume | Next::Yield => self.vcpu.fill(&mut board.vmm),
            // The interrupts that come of it come with the answer.
            Next::Hypercall => {}
            Next::WaitForInterrupt { .. } | Next::Stop => board.output.flush(),
            Next::PowerOff | Next::Reset | Next::Over => board.end(),
            Next::Crash(report) => {
                board.report(self.vcpu.guest(), &report);
                board.end();
            }
        }
        let wake = board.vmm.wake(index);
        drop(guard);
        self.tell(wake);
        next
    }

    /// Gets the guest ready to be entered, with what has come meanwhile. `expired`: its timer has.
    fn prepare(&mut self, expired: bool) {
        let mut guard = self.look();
        let board = &mut *guard;
        board.input.deliver(|byte| board.vmm.console_input(byte));
        if expired {
            self.vcpu.timer_expired(&mut board.vmm);
        }
        self.vcpu.fill(&mut board.vmm);
        let wake = board.vmm.wake(self.vcpu.index());
        drop(guard);
        self.tell(wake);
    }

    /// Takes the board. When the guest has come to an end, nothing is left to do with it.
    #[inline(always)]
    fn look(&mut self) -> SpinMutexGuard<'static, Board> {
        let mut board = self.shared.board.lock();
        if board.over {
            leave_for_good(board);
        }
        if take(&mut self.news) & self.shared.input_events != 0 {
            board.input.arrived();
        }
        board
    }

    /// Answers a hypercall; its end, if that is what the guest wanted.
    #[inline(never)]
    fn hypercall(&mut self) -> Result<Option<End>, Failure> {
        let Some(xen) = &self.shared.xen else { return Ok(None) };
        let next = xen.call(self.shared, self.vcpu.index(), self.vcpu.guest());
        self.come_back(xen);
        match next {
            domain::Next::Shutdown(reason) => {
                self.look().end();
                match reason {
                    Shutdown::PowerOff => Ok(Some(End::PowerOff)),
                    Shutdown::Reboot | Shutdown::SoftReset => Ok(Some(End::Reset)),
                    Shutdown::Suspend | Shutdown::Crash | Shutdown::Watchdog => Err(Failure::Crashed),
                }
            }
            domain::Next::Yield => {
                self.make_way();
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Its devices may have more to do than they did in one go: the guest is left again for that.
    fn come_back(&self, xen: &Xen) {
        if xen.concerns(0) {
            // Without an error for a vCPU of its own.
            let _ = vcpu::kick(self.vcpu.index() as u32, KICK);
        }
    }

    /// Looks at what has come for Xen's devices.
    fn look_outside(&mut self) {
        if let Some(xen) = &self.shared.xen
            && xen.concerns(self.news)
        {
            xen.take(self.shared, self.vcpu.index(), self.news);
            self.come_back(xen);
        }
    }

    /// Takes the events that made it leave the guest.
    fn take_news(&mut self) {
        self.news |= time::poll(self.interest);
        self.look_outside();
        if self.news & event::TIMER != 0 {
            self.make_way();
            self.next_slice();
        }
    }

    /// Tells those in a mask to look at the board.
    #[inline]
    fn tell(&self, wake: u32) {
        if wake != 0 {
            self.tell_others(wake);
        }
    }

    fn tell_others(&self, wake: u32) {
        for n in (0..self.shared.vcpus).filter(|n| wake >> n & 1 == 1) {
            // Refused only for a vCPU that isn't there, which the board never names.
            let _ = vcpu::kick(n as u32, KICK);
        }
        if wake & self.neighbours != 0 {
            self.make_way();
        }
    }

    /// Lets the others of this core go first.
    fn make_way(&self) {
        if self.neighbours != 0 {
            // A poll for nothing takes no event.
            time::poll(0);
        }
    }

    fn next_slice(&self) {
        if self.neighbours != 0 {
            // Without an error for a vCPU of its own.
            let _ = time::set_timer(time::now().saturating_add(SLICE));
        }
    }
}

/// The guest has come to an end at another vCPU's hands.
#[cold]
fn leave_for_good(board: SpinMutexGuard<'_, Board>) -> ! {
    drop(board);
    time::idle()
}
