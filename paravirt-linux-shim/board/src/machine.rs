// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The run loop's decisions: what an exit of the guest changes on the board, and what comes next.
//!
//! ```text
//!   loop {
//!       vmm.enter(vcpu, &mut lists);          // what the guest shall be interrupted with
//!       let exit = vcpu_run(…);               // the kernel runs it
//!       vmm.leave(vcpu, &lists);              // what became of it
//!       match vmm.handle(vcpu, exit, …) { … } // this module
//!   }
//! ```
//!
//! Each call is a bounded number of steps, whatever the guest does. What the board doesn't have
//! reads as zero and ignores writes; the first time at each address it is worth a [`Note`], and all
//! of it is counted.
//!
//! A guest with several vCPUs has one `Vmm`, behind a lock. None of them looks at the others'
//! state while they run; what one does to another (an interrupt, a start) is noted here, and the
//! shim wakes the other, which then finds it:
//!
//! ```text
//!   vCPU 0  handle ─ SGI for 1 ─▶ wake ─ kick 1 ─▶ …
//!                                          │
//!   vCPU 1  … in the guest, waiting or off ─┴▶ enter, or take_start
//! ```
//! Between the time that a vCPU is told and its next [`Vmm::enter`] it is not told again.

mod bus;
mod notes;

use core::fmt;

pub use notes::{Note, Seen};

use crate::exit::{Exit, Fault, FaultKind, SysRegAccess};
use crate::gic::{Gic, ListRegister};
use crate::map::{EVENT_INTID, MAX_VCPUS, Range, VIRTUAL_TIMER_INTID};
use crate::pl011::Pl011;
use crate::psci::{Action, Psci, Start};
use crate::registers::GuestRegisters;
use crate::sysreg::{self, Answer, Features};
use crate::xen;

/// What the board needs of the world outside.
pub trait Io {
    /// Takes a byte that the guest wrote to its console.
    fn console(&mut self, byte: u8);
    /// Takes a remark for the integrator about something odd that the guest did.
    fn note(&mut self, note: Note);
    /// Reads an identification register of the processor; 0 (the plain ARMv8.0 processor) where the
    /// caller can't.
    fn identification(&mut self, register: crate::exit::SysReg) -> u64;
}

/// What the shim does next with the vCPU that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Enter it again.
    Resume,
    /// Enter it again when it is told to ([`Vmm::wake`]), after input, or when the guest's virtual
    /// counter has reached `until` (its timer fires then).
    WaitForInterrupt {
        /// Ticks of the guest's virtual counter.
        until: Option<u64>,
    },
    /// The guest has made a hypercall of Xen's: answer it, and enter it again. The program counter is
    /// behind it.
    Hypercall,
    /// Enter it again; it waits for somebody else, who should get this core if it is the same.
    Yield,
    /// Don't enter it again before [`Vmm::take_start`] gives it a place to begin.
    Stop,
    /// The same, and there is nobody left who could start it.
    Over,
    /// The guest switched its machine off.
    PowerOff,
    /// The guest wants its machine reset: load it anew and start over.
    Reset,
    /// The guest did something that can't be continued.
    Crash(Report),
}

/// What is known about a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The vCPU that caused it.
    pub vcpu: usize,
    /// Its program counter.
    pub pc: u64,
    /// Its link register: who called.
    pub lr: u64,
    /// What happened.
    pub fault: Fault,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest stopped: vCPU {} at {:#x} (called from {:#x}): {}", self.vcpu, self.pc, self.lr, self.fault)
    }
}

/// The virtual board of one guest.
#[derive(Clone, Debug)]
pub struct Vmm {
    vcpus: usize,
    features: Features,
    gic: Gic,
    uart: Pl011,
    psci: Psci,
    seen: Seen,
    /// The guest has Xen's interface.
    xen: bool,
    /// The vCPUs that know that something waits for them, as a mask.
    told: u32,
}

impl Vmm {
    /// Makes the board of a guest with `vcpus` vCPUs (one to eight) and the memory `ram`, as after
    /// reset.
    #[must_use]
    pub fn new(vcpus: usize, ram: Range, features: Features) -> Self {
        let vcpus = vcpus.clamp(1, MAX_VCPUS);
        Self {
            vcpus,
            features,
            gic: Gic::new(vcpus),
            uart: Pl011::new(),
            psci: Psci::new(vcpus, ram),
            seen: Seen::default(),
            xen: false,
            told: 0,
        }
    }

    /// Lets Xen's hypercalls through.
    #[must_use]
    pub fn with_xen(self) -> Self {
        Self { xen: true, ..self }
    }

    /// Tells `vcpu` of Xen's events.
    pub fn raise_event(&mut self, vcpu: usize) {
        self.gic.raise(vcpu, EVENT_INTID);
    }

    /// Fills `lists` with the interrupts that `vcpu` shall see next; returns how many there are.
    pub fn enter(&mut self, vcpu: usize, lists: &mut [ListRegister]) -> usize {
        let used = self.gic.fill(vcpu, lists);
        self.listen(vcpu);
        // What had no room comes with the end of what has: no need to be told of that.
        if self.vcpus > 1 && self.gic.is_deliverable(vcpu) {
            self.told |= bit(vcpu);
        }
        used
    }

    /// The short way for [`Vmm::enter`]: tells whether it would give `vcpu` nothing.
    #[inline]
    pub fn enter_idle(&mut self, vcpu: usize) -> bool {
        let idle = self.gic.is_idle(vcpu);
        if idle {
            self.listen(vcpu);
        }
        idle
    }

    /// From now on `vcpu` wants to be told again.
    #[inline]
    fn listen(&mut self, vcpu: usize) {
        if self.told != 0 {
            self.told &= !bit(vcpu);
        }
    }

    /// Lets a `vcpu` that is off begin, if somebody has started it.
    pub fn take_start(&mut self, vcpu: usize) -> Option<Start> {
        self.listen(vcpu);
        self.psci.take_start(vcpu)
    }

    /// Takes back what became of the interrupts of `vcpu`. Comes before [`Vmm::handle`].
    pub fn leave(&mut self, vcpu: usize, lists: &[ListRegister]) {
        self.gic.fold(vcpu, lists);
    }

    /// Tells whether something waits for `vcpu`: an interrupt if it is on, else a start. Its end of
    /// [`Next::WaitForInterrupt`] and of [`Next::Stop`].
    #[must_use]
    pub fn is_awake(&self, vcpu: usize) -> bool {
        self.psci.is_pending(vcpu) || (self.psci.is_on(vcpu) && self.gic.has_news(vcpu))
    }

    /// Returns the vCPUs other than `vcpu` for which something waits and that have not been told
    /// since they were last entered, as a mask: the caller tells them.
    #[must_use]
    #[inline]
    pub fn wake(&mut self, vcpu: usize) -> u32 {
        if self.vcpus == 1 { 0 } else { self.wake_others(vcpu) }
    }

    fn wake_others(&mut self, vcpu: usize) -> u32 {
        let due = (0..self.vcpus).filter(|n| *n != vcpu && self.told & bit(*n) == 0 && self.is_awake(*n));
        let due = due.fold(0, |mask, n| mask | bit(n));
        self.told |= due;
        due
    }

    /// Takes a byte of console input. Returns false if the guest can't take it now: offer it again
    /// after its next exit.
    #[must_use]
    pub fn console_input(&mut self, byte: u8) -> bool {
        let taken = self.uart.receive(byte);
        self.update_lines();
        taken
    }

    /// The virtual timer of `vcpu` has fired. `linked`: the physical interrupt is left active for
    /// the guest to end.
    pub fn timer_fired(&mut self, vcpu: usize, linked: bool) {
        if linked {
            self.gic.raise_linked(vcpu, VIRTUAL_TIMER_INTID);
        } else {
            self.gic.raise(vcpu, VIRTUAL_TIMER_INTID);
        }
    }

    /// Takes the physical interrupts of `vcpu` that the kernel has to end, see
    /// [`Gic::take_released`].
    pub fn take_released(&mut self, vcpu: usize) -> u32 {
        self.gic.take_released(vcpu)
    }

    /// Returns how often the guest touched what isn't there.
    #[must_use]
    pub fn strange_accesses(&self) -> u64 {
        self.seen.total()
    }

    /// Reacts to an exit of `vcpu`.
    pub fn handle(&mut self, vcpu: usize, exit: Exit, registers: &mut impl GuestRegisters, io: &mut impl Io) -> Next {
        match exit {
            Exit::Interrupted => Next::Resume,
            Exit::VirtualTimer { linked } => {
                self.timer_fired(vcpu, linked);
                Next::Resume
            }
            Exit::Wfe => {
                registers.skip_instruction();
                Next::Yield
            }
            Exit::Wfi => {
                registers.skip_instruction();
                self.wait(vcpu, registers)
            }
            Exit::Mmio(mmio) => {
                self.transfer(&mmio, registers, io);
                registers.skip_instruction();
                Next::Resume
            }
            Exit::SysReg(access) => {
                self.system_register(vcpu, &access, registers, io);
                registers.skip_instruction();
                Next::Resume
            }
            Exit::Hvc { imm: xen::CALL } if self.xen => Next::Hypercall,
            Exit::Hvc { imm: 0 } => self.firmware_call(vcpu, registers, io),
            // The device tree says hvc. An smc finds the same firmware: some boot loaders don't
            // read device trees.
            Exit::Smc { imm: 0 } => {
                registers.skip_instruction();
                self.firmware_call(vcpu, registers, io)
            }
            Exit::Hvc { imm } | Exit::Smc { imm } => {
                if matches!(exit, Exit::Smc { .. }) {
                    registers.skip_instruction();
                }
                registers.set_x(0, u64::MAX);
                self.odd(Note::Call(u32::from(imm)), io);
                Next::Resume
            }
            Exit::Fault(fault) => Next::Crash(Report { vcpu, pc: registers.pc(), lr: registers.x(30), fault }),
        }
    }

    /// An interrupt that the guest can't take yet (it handles one of the same priority) ends the
    /// wait too: the processor knows priorities better than we do, and a wait may always end early,
    /// but never late.
    fn wait(&mut self, vcpu: usize, registers: &impl GuestRegisters) -> Next {
        if self.gic.is_deliverable(vcpu) {
            Next::Resume
        } else {
            self.listen(vcpu);
            Next::WaitForInterrupt { until: registers.timer_deadline() }
        }
    }

    #[inline]
    fn firmware_call(&mut self, vcpu: usize, registers: &mut impl GuestRegisters, io: &mut impl Io) -> Next {
        match self.psci.call(vcpu, registers) {
            Action::Resume => Next::Resume,
            Action::Unknown(function) => {
                self.odd(Note::Call(function), io);
                Next::Resume
            }
            Action::Wait => self.wait(vcpu, registers),
            Action::StopVcpu if self.psci.is_over() => Next::Over,
            Action::StopVcpu => {
                self.listen(vcpu);
                Next::Stop
            }
            Action::PowerOff => Next::PowerOff,
            Action::Reset => Next::Reset,
        }
    }

    fn system_register(
        &mut self,
        vcpu: usize,
        access: &SysRegAccess,
        registers: &mut impl GuestRegisters,
        io: &mut impl Io,
    ) {
        let written = registers.x(access.rt);
        if let Some(kept) = registers.debug(access.register) {
            if access.write {
                *kept = written;
            } else {
                let value = *kept;
                registers.set_x(access.rt, value);
            }
            return;
        }
        let value = match sysreg::answer(access.register, self.features, |register| io.identification(register)) {
            Answer::Value(value) => value,
            Answer::SendSgi => {
                if access.write {
                    self.gic.send_sgi(vcpu, registers.x(access.rt));
                }
                0
            }
            Answer::Unknown => {
                self.odd(Note::SystemRegister(access.register), io);
                0
            }
        };
        if !access.write {
            registers.set_x(access.rt, value);
        }
    }

    fn odd(&mut self, note: Note, io: &mut impl Io) {
        if self.seen.is_first(note) {
            io.note(note);
        }
    }
}

/// The bit of a vCPU in a mask; none for one that can't be.
#[inline]
const fn bit(vcpu: usize) -> u32 {
    if vcpu < MAX_VCPUS { 1 << vcpu } else { 0 }
}

/// Makes the fault of an access that the kernel could not even describe; for shims that meet an
/// unknown exit reason.
#[must_use]
pub fn unknown_exit(reason: u64) -> Exit {
    Exit::Fault(Fault { kind: FaultKind::Class(0xff), esr: reason, ipa: None })
}
