// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The run loop of a vCPU.
//!
//! ```text
//!   ┌─► run the guest ──► what was it? ──► the board reacts ─┬─► once more
//!   │                                                        ├─► wait: for its timer or for input
//!   └────────────────────────────────────────────────────────┴─► the end
//! ```
//! Each turn enters the guest or ends: whatever the guest does costs it its own time only.

use parzelle_abi::NEVER;
use parzelle_abi::aarch64::{Guest, GuestExit};
use parzelle_rt::{VcpuPage, time};
use parzelle_shim_board::exit::{Exit, SysReg};
use parzelle_shim_board::machine::{Io, Next, Note, Report, Vmm};

use crate::clock::deadline;
use crate::failure::Failure;
use crate::files::GuestRam;
use crate::input::Input;
use crate::output::Output;
use crate::vcpu::Vcpu;

/// How a guest ends that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It switched its machine off.
    PowerOff,
    /// It wants to start over.
    Reset,
}

/// The board and what connects it with the world.
#[derive(Debug)]
pub struct Runner {
    /// The virtual board.
    pub vmm: Vmm,
    /// Its console's output.
    pub output: Output,
    /// Its console's input.
    pub input: Input,
    /// The page of this vCPU, which knows the counter's scale.
    pub page: VcpuPage,
    /// The guest's memory, to look at instructions that the processor does not describe.
    pub ram: GuestRam,
}

impl Io for Output {
    fn console(&mut self, byte: u8) {
        self.put(byte);
    }

    fn note(&mut self, note: Note) {
        self.say(format_args!("{note}"));
    }

    /// EL0 can't read them. The kernel lets them trap only on processors that have what guests can't
    /// have (SVE, MTE …): there the guest sees the plain ARMv8.0 processor.
    fn identification(&mut self, _: SysReg) -> u64 {
        0
    }
}

impl Runner {
    /// Runs a vCPU to the end.
    ///
    /// # Errors
    /// What the guest did that can't be continued.
    pub fn run(&mut self, vcpu: &mut Vcpu) -> Result<End, Failure> {
        let (_, zero, scale) = self.page.counter();
        loop {
            self.input.deliver(&mut self.vmm);
            if let Err(refused) = vcpu.run(&mut self.vmm, self.input.events) {
                self.output.end_line();
                return Err(refused.into());
            }
            let (index, guest) = (vcpu.index(), vcpu.guest());
            self.between(guest.exit);
            let exit = Exit::of(guest, |address| self.ram.read(address));
            match self.vmm.handle(index, exit, guest, &mut self.output) {
                Next::Resume => {}
                Next::WaitForInterrupt { until } => {
                    self.output.flush();
                    let until = until.map_or(NEVER, |ticks| deadline(ticks, zero, scale));
                    if time::wait(until, self.input.events) != 0 {
                        self.input.arrived();
                    }
                }
                Next::PowerOff => {
                    self.output.end_line();
                    return Ok(End::PowerOff);
                }
                Next::Reset => {
                    self.output.end_line();
                    return Ok(End::Reset);
                }
                // With one vCPU there is no other to be started, and nobody left who could do so.
                Next::Start { .. } | Next::Stop => {
                    self.output.end_line();
                    return Err(Failure::Off);
                }
                Next::Crash(report) => {
                    self.report(guest, &report);
                    return Err(Failure::Crash(report));
                }
            }
        }
    }

    /// What is due at exits that aren't the guest's doing: its output does not wait any longer than
    /// to the next of them, and input is taken notice of.
    fn between(&mut self, exit: u64) {
        if exit == GuestExit::Sync as u64 {
            return;
        }
        self.output.flush();
        if exit == GuestExit::Event as u64 && time::poll(self.input.events) != 0 {
            self.input.arrived();
        }
    }

    /// Says what is known of a crash; the headline is the failure's own text.
    fn report(&mut self, guest: &Guest, report: &Report) {
        let frame = &guest.frame;
        self.output.say(format_args!(
            "crash of the guest: pc {:#x} lr {:#x} sp {:#x} pstate {:#x}",
            report.pc, report.lr, frame.sp, frame.pstate
        ));
        self.output.say(format_args!("esr {:#x} far {:#x} ipa {:#x}", guest.syndrome, guest.address, guest.ipa));
        for (at, four) in frame.x.chunks(4).enumerate() {
            self.output.say(format_args!("x{:<2} {four:016x?}", at * 4));
        }
        let [tcr, ttbr0, ttbr1] = guest.translation;
        self.output.say(format_args!("tcr {tcr:#x} ttbr0 {ttbr0:#x} ttbr1 {ttbr1:#x}"));
        let strange = self.vmm.strange_accesses();
        self.output.say(format_args!("{strange} accesses to what is not there before that"));
    }
}
