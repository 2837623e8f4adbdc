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
//! of it is counted. A guest on several cores needs a lock around its `Vmm`.

mod bus;
mod notes;

use core::fmt;

pub use notes::{Note, Seen};

use crate::exit::{Exit, Fault, FaultKind, SysRegAccess};
use crate::gic::{Gic, ListRegister};
use crate::map::{MAX_VCPUS, Range, VIRTUAL_TIMER_INTID};
use crate::pl011::Pl011;
use crate::psci::{Action, Psci};
use crate::registers::GuestRegisters;
use crate::sysreg::{self, Answer, Features};

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
    /// Enter it again when [`Vmm::is_awake`]: after input, an interrupt from another vCPU, or when
    /// the guest's virtual counter has reached `until` (its timer fires then).
    WaitForInterrupt {
        /// Ticks of the guest's virtual counter.
        until: Option<u64>,
    },
    /// Start another vCPU: EL1, MMU off, interrupts masked, `pc` = `entry`, `x0` = `context`. Enter
    /// the caller again.
    Start {
        /// Its index, which is also its affinity.
        vcpu: usize,
        /// Where it begins.
        entry: u64,
        /// What it finds in `x0`.
        context: u64,
    },
    /// Don't enter it again until somebody starts it.
    Stop,
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
        }
    }

    /// Fills `lists` with the interrupts that `vcpu` shall see next; returns how many there are.
    pub fn enter(&mut self, vcpu: usize, lists: &mut [ListRegister]) -> usize {
        self.gic.fill(vcpu, lists)
    }

    /// Tells whether [`Vmm::enter`] would give `vcpu` nothing.
    #[must_use]
    #[inline]
    pub fn is_idle(&self, vcpu: usize) -> bool {
        self.gic.is_idle(vcpu)
    }

    /// Takes back what became of the interrupts of `vcpu`. Comes before [`Vmm::handle`].
    pub fn leave(&mut self, vcpu: usize, lists: &[ListRegister]) {
        self.gic.fold(vcpu, lists);
    }

    /// Tells whether `vcpu` is on and has an interrupt waiting: its end of
    /// [`Next::WaitForInterrupt`].
    #[must_use]
    pub fn is_awake(&self, vcpu: usize) -> bool {
        self.psci.is_on(vcpu) && self.gic.is_deliverable(vcpu)
    }

    /// Returns the vCPUs other than `vcpu` that have an interrupt waiting, as a mask: to be woken
    /// or interrupted.
    #[must_use]
    pub fn others_awake(&self, vcpu: usize) -> u32 {
        (0..self.vcpus).filter(|n| *n != vcpu && self.is_awake(*n)).fold(0, |mask, n| mask | 1 << n)
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
                Next::Resume
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
    fn wait(&self, vcpu: usize, registers: &impl GuestRegisters) -> Next {
        if self.gic.is_deliverable(vcpu) {
            Next::Resume
        } else {
            Next::WaitForInterrupt { until: registers.timer_deadline() }
        }
    }

    fn firmware_call(&mut self, vcpu: usize, registers: &mut impl GuestRegisters, io: &mut impl Io) -> Next {
        match self.psci.call(vcpu, registers) {
            Action::Resume => Next::Resume,
            Action::Unknown(function) => {
                self.odd(Note::Call(function), io);
                Next::Resume
            }
            Action::Wait => self.wait(vcpu, registers),
            Action::StartVcpu { vcpu, entry, context } => Next::Start { vcpu, entry, context },
            Action::StopVcpu => Next::Stop,
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

/// Makes the fault of an access that the kernel could not even describe; for shims that meet an
/// unknown exit reason.
#[must_use]
pub fn unknown_exit(reason: u64) -> Exit {
    Exit::Fault(Fault { kind: FaultKind::Class(0xff), esr: reason, ipa: None })
}
