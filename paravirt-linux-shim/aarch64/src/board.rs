// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the vCPUs of a guest have in common: the virtual board behind its lock, and what connects it
//! with the world.
//!
//! A vCPU has the lock for one turn of its loop at most: to give back its list registers, to react to
//! one exit, to fill them again. It never waits with it, and tells others only when it has let go.

use parzelle_abi::aarch64::Guest;
use parzelle_shim_backends::{Input, Lock, Output};
use parzelle_shim_board::exit::SysReg;
use parzelle_shim_board::machine::{Io, Note, Report, Vmm};

use crate::files::GuestRam;
use crate::xen::Xen;

/// All that vCPUs share.
#[derive(Debug)]
pub struct Shared {
    /// The board.
    pub board: Lock<Board>,
    /// The guest's memory, to look at instructions that the processor does not describe.
    pub ram: GuestRam,
    /// The events that say that there is input for the board, as a mask; they come to vCPU 0.
    pub input_events: u64,
    /// Xen's interface, if the guest has it.
    pub xen: Option<Xen>,
    /// The core of each vCPU.
    pub cores: [u8; 8],
    /// How many vCPUs there are.
    pub vcpus: usize,
}

/// The board and what connects it with the world.
#[derive(Debug)]
pub struct Board {
    /// The virtual board.
    pub vmm: Vmm,
    /// Its console's output.
    pub output: Output,
    /// Its console's input.
    pub input: Input,
    /// The guest has come to an end: nobody enters it any more.
    pub over: bool,
}

impl Shared {
    /// The other vCPUs that are on the same core as `vcpu`, as a mask.
    #[must_use]
    pub fn neighbours(&self, vcpu: usize) -> u32 {
        let own = self.cores.get(vcpu);
        let cores = self.cores.iter().take(self.vcpus).enumerate();
        cores.filter(|(n, core)| *n != vcpu && Some(*core) == own).fold(0, |mask, (n, _)| mask | 1 << n)
    }
}

/// What the board asks for goes to the console.
pub(crate) struct Outside<'a>(pub(crate) &'a mut Output);

impl Io for Outside<'_> {
    fn console(&mut self, byte: u8) {
        self.0.put(byte);
    }

    fn note(&mut self, note: Note) {
        self.0.say(format_args!("{note}"));
    }

    /// EL0 can't read them. The kernel lets them trap only on processors that have what guests can't
    /// have (SVE, MTE …): there the guest sees the plain ARMv8.0 processor.
    fn identification(&mut self, _: SysReg) -> u64 {
        0
    }
}

impl Board {
    /// The guest has come to an end.
    pub(crate) fn end(&mut self) {
        self.over = true;
        self.output.end_line();
    }

    /// Says what is known of a crash; the headline is the failure's own text.
    pub(crate) fn report(&mut self, guest: &Guest, report: &Report) {
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
