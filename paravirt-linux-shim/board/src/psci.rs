// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's firmware: PSCI 1.1 (DEN 0022E, chapter 5) and the version call of the SMC calling
//! convention (DEN 0028E), reached by `hvc #0`.
//!
//! It decides and keeps which vCPUs are on; what follows from a call is returned as an [`Action`]
//! for the shim to perform.
//!
//! ```text
//!           CPU_ON                    take_start
//!    off ───────────▶ pending ─────────────────────▶ on
//!     ▲               (entry, context)                │
//!     └───────────────────── CPU_OFF ─────────────────┘
//! ```
//! The caller of `CPU_ON` only writes down where the target shall begin; the target itself takes
//! it. However often a guest calls, there is one start per vCPU to be remembered and one vCPU that
//! changes its registers: its own.

use crate::map::{MAX_VCPUS, Range};
use crate::registers::GuestRegisters;

/// PSCI 1.1.
const PSCI_VERSION: u64 = 0x1_0001;
/// SMC calling convention 1.1.
const SMCCC_VERSION: u64 = 0x1_0001;
/// Set in the function number of a call with 64-bit arguments.
const SIXTY_FOUR: u32 = 1 << 30;

/// What a call returns in `x0`.
mod status {
    pub(super) const SUCCESS: i64 = 0;
    pub(super) const NOT_SUPPORTED: i64 = -1;
    pub(super) const INVALID_PARAMETERS: i64 = -2;
    pub(super) const ALREADY_ON: i64 = -4;
    pub(super) const ON_PENDING: i64 = -5;
    pub(super) const INVALID_ADDRESS: i64 = -9;
}

/// What the shim has to do after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing but resume the caller.
    Resume,
    /// Nothing but resume the caller; nobody knows this function. It has been told so.
    Unknown(u32),
    /// The caller waits for an interrupt, as by `wfi`.
    Wait,
    /// Stop the caller until somebody starts it again.
    StopVcpu,
    /// The guest is done.
    PowerOff,
    /// The guest wants to start over.
    Reset,
}

/// Where a vCPU begins: EL1, MMU off, interrupts masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its program counter.
    pub entry: u64,
    /// Its `x0`.
    pub context: u64,
}

/// How far a vCPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Off,
    /// Somebody has started it; it has not noticed yet.
    Pending(Start),
    On,
}

/// Which vCPUs are on, and the calls that change it. vCPU `n` has the affinity 0.0.0.n.
#[derive(Clone, Debug)]
pub struct Psci {
    power: [Power; MAX_VCPUS],
    vcpus: usize,
    ram: Range,
}

impl Psci {
    /// Makes the firmware of a guest with `vcpus` vCPUs, of which the first is on, and with the
    /// memory `ram`.
    #[must_use]
    pub fn new(vcpus: usize, ram: Range) -> Self {
        let mut power = [Power::Off; MAX_VCPUS];
        power[0] = Power::On;
        Self { power, vcpus: vcpus.clamp(1, MAX_VCPUS), ram }
    }

    /// Tells whether `vcpu` is on.
    #[must_use]
    pub fn is_on(&self, vcpu: usize) -> bool {
        matches!(self.power(vcpu), Power::On)
    }

    /// Tells whether `vcpu` was started and has not begun yet.
    #[must_use]
    pub fn is_pending(&self, vcpu: usize) -> bool {
        matches!(self.power(vcpu), Power::Pending(_))
    }

    /// Tells whether all are off, so that nobody is left to start anybody.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.power.iter().all(|power| *power == Power::Off)
    }

    /// Lets `vcpu` begin, if somebody has started it: then it is on.
    pub fn take_start(&mut self, vcpu: usize) -> Option<Start> {
        let power = self.power.get_mut(vcpu)?;
        let Power::Pending(start) = *power else { return None };
        *power = Power::On;
        Some(start)
    }

    fn power(&self, vcpu: usize) -> Power {
        self.power.get(vcpu).copied().unwrap_or(Power::Off)
    }

    /// Performs the call in the registers of `vcpu` and leaves the result in `x0`.
    pub fn call(&mut self, vcpu: usize, registers: &mut impl GuestRegisters) -> Action {
        let function = registers.x(0) as u32;
        let sixty_four = function & SIXTY_FOUR != 0;
        let argument = |n| {
            if sixty_four { registers.x(n) } else { registers.x(n) & 0xffff_ffff }
        };
        let (result, action) = match Function::decode(function) {
            Some(Function::SmcccVersion) => (SMCCC_VERSION as i64, Action::Resume),
            Some(Function::Version) => (PSCI_VERSION as i64, Action::Resume),
            // The caller wakes with all its state: a standby, which also a power-down request may
            // become.
            Some(Function::CpuSuspend) => (status::SUCCESS, Action::Wait),
            Some(Function::CpuOff) => {
                if let Some(power) = self.power.get_mut(vcpu) {
                    *power = Power::Off;
                }
                (status::SUCCESS, Action::StopVcpu)
            }
            Some(Function::CpuOn) => {
                let start = Start { entry: argument(2), context: argument(3) };
                (self.cpu_on(argument(1), start), Action::Resume)
            }
            Some(Function::AffinityInfo) => (self.affinity_info(argument(1), argument(2)), Action::Resume),
            // "Trusted OS not present": nothing to migrate.
            Some(Function::MigrateInfoType) => (2, Action::Resume),
            Some(Function::SystemOff) => (status::SUCCESS, Action::PowerOff),
            Some(Function::SystemReset) => (status::SUCCESS, Action::Reset),
            Some(Function::Features) => (features(argument(1) as u32), Action::Resume),
            Some(Function::Probe) => (status::NOT_SUPPORTED, Action::Resume),
            None => (status::NOT_SUPPORTED, Action::Unknown(function)),
        };
        registers.set_x(0, result as u64);
        action
    }

    /// Finds the vCPU that an affinity names: they all share the upper fields, which are zero.
    fn target(&self, affinity: u64) -> Option<usize> {
        let vcpu = usize::try_from(affinity).ok()?;
        (vcpu < self.vcpus).then_some(vcpu)
    }

    fn cpu_on(&mut self, affinity: u64, start: Start) -> i64 {
        let Some(vcpu) = self.target(affinity) else {
            return status::INVALID_PARAMETERS;
        };
        match self.power(vcpu) {
            Power::On => status::ALREADY_ON,
            Power::Pending(_) => status::ON_PENDING,
            Power::Off if !self.ram.contains(start.entry) || start.entry & 3 != 0 => status::INVALID_ADDRESS,
            Power::Off => {
                self.power[vcpu] = Power::Pending(start);
                status::SUCCESS
            }
        }
    }

    /// Returns 0 (on), 1 (off) or 2 (on pending). Levels above the vCPU are on as long as anybody
    /// asks.
    fn affinity_info(&self, affinity: u64, lowest_level: u64) -> i64 {
        match (self.target(affinity), lowest_level) {
            (Some(vcpu), 0) => match self.power(vcpu) {
                Power::On => 0,
                Power::Off => 1,
                Power::Pending(_) => 2,
            },
            (Some(_), 1..=3) => 0,
            _ => status::INVALID_PARAMETERS,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    SmcccVersion,
    Version,
    CpuSuspend,
    CpuOff,
    CpuOn,
    AffinityInfo,
    MigrateInfoType,
    SystemOff,
    SystemReset,
    Features,
    /// Asks for something optional that isn't here: work-arounds for errata, random numbers, a
    /// hypervisor's own calls.
    Probe,
}

impl Function {
    const fn decode(function: u32) -> Option<Self> {
        Some(match function {
            0x8000_0000 => Self::SmcccVersion,
            0x8400_0000 => Self::Version,
            0x8400_0001 | 0xc400_0001 => Self::CpuSuspend,
            0x8400_0002 => Self::CpuOff,
            0x8400_0003 | 0xc400_0003 => Self::CpuOn,
            0x8400_0004 | 0xc400_0004 => Self::AffinityInfo,
            0x8400_0006 => Self::MigrateInfoType,
            0x8400_0008 => Self::SystemOff,
            0x8400_0009 => Self::SystemReset,
            0x8400_000a => Self::Features,
            // SMCCC_ARCH_FEATURES, TRNG_VERSION, the UID of the hypervisor's owner.
            0x8000_0001 | 0x8400_0050 | 0x8600_ff01 => Self::Probe,
            _ => return None,
        })
    }
}

/// `PSCI_FEATURES`: no function that is here has optional features.
const fn features(function: u32) -> i64 {
    match Function::decode(function) {
        None | Some(Function::Probe) => status::NOT_SUPPORTED,
        Some(_) => status::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::Frame;

    const RAM: Range = Range { start: 0x4000_0000, size: 0x1000_0000 };

    fn call(psci: &mut Psci, arguments: [u64; 4]) -> (i64, Action) {
        call_of(psci, 0, arguments)
    }

    fn call_of(psci: &mut Psci, vcpu: usize, arguments: [u64; 4]) -> (i64, Action) {
        let mut frame = Frame::default();
        frame.x[..4].copy_from_slice(&arguments);
        let action = psci.call(vcpu, &mut frame);
        (frame.x[0] as i64, action)
    }

    #[test]
    fn answers_what_linux_asks_at_boot() {
        let mut psci = Psci::new(1, RAM);
        assert_eq!(call(&mut psci, [0x8400_0000, 0, 0, 0]), (0x1_0001, Action::Resume));
        assert_eq!(call(&mut psci, [0x8400_0006, 0, 0, 0]), (2, Action::Resume));
        assert_eq!(call(&mut psci, [0x8400_000a, 0x8000_0000, 0, 0]), (0, Action::Resume));
        assert_eq!(call(&mut psci, [0x8400_000a, 0xc400_000e, 0, 0]), (-1, Action::Resume));
        assert_eq!(call(&mut psci, [0x8000_0001, 0x8000_8000, 0, 0]), (-1, Action::Resume));
        assert_eq!(call(&mut psci, [0x8400_0099, 0, 0, 0]), (-1, Action::Unknown(0x8400_0099)));
        assert_eq!(call(&mut psci, [0x8400_0008, 0, 0, 0]).1, Action::PowerOff);
        assert_eq!(call(&mut psci, [0x8400_0009, 0, 0, 0]).1, Action::Reset);
    }

    const ON: u64 = 0xc400_0003;
    const OFF: u64 = 0x8400_0002;
    const INFO: u64 = 0xc400_0004;
    const ENTRY: u64 = RAM.start + 0x1000;

    #[test]
    fn a_vcpu_is_off_then_pending_then_on_then_off() {
        let mut psci = Psci::new(2, RAM);
        let info = |psci: &mut Psci| call(psci, [INFO, 1, 0, 0]).0;
        for context in [7, 8] {
            assert_eq!((info(&mut psci), psci.is_pending(1), psci.is_on(1)), (1, false, false));
            assert_eq!(psci.take_start(1), None);
            assert_eq!(call(&mut psci, [ON, 1, ENTRY, context]), (0, Action::Resume));
            assert_eq!((info(&mut psci), psci.is_pending(1), psci.is_on(1)), (2, true, false));
            assert_eq!(call(&mut psci, [ON, 1, ENTRY + 4, 9]), (-5, Action::Resume), "the first one counts");
            assert_eq!(psci.take_start(1), Some(Start { entry: ENTRY, context }));
            assert_eq!((info(&mut psci), psci.is_pending(1), psci.is_on(1)), (0, false, true));
            assert_eq!(call(&mut psci, [ON, 1, ENTRY, 9]), (-4, Action::Resume));
            assert_eq!(psci.take_start(1), None, "only once");
            assert_eq!(call_of(&mut psci, 1, [OFF, 0, 0, 0]).1, Action::StopVcpu);
            assert!(!psci.is_over());
        }
        assert_eq!(call(&mut psci, [OFF, 0, 0, 0]).1, Action::StopVcpu);
        assert!(psci.is_over());
    }

    #[test]
    fn vcpu_0_can_be_switched_off_and_on_by_another() {
        let mut psci = Psci::new(2, RAM);
        call(&mut psci, [ON, 1, ENTRY, 0]);
        call(&mut psci, [OFF, 0, 0, 0]);
        assert!(!psci.is_over(), "somebody is on its way");
        psci.take_start(1);
        assert_eq!(call_of(&mut psci, 1, [ON, 0, ENTRY, 5]).0, 0);
        assert_eq!(psci.take_start(0), Some(Start { entry: ENTRY, context: 5 }));
    }

    #[test]
    fn only_what_is_there_is_started_and_only_inside_its_memory() {
        let mut psci = Psci::new(2, RAM);
        for affinity in [2, 8, 0x100, 1 << 16, 1 << 24, 1 << 31, 1 << 32, 1 << 32 | 1, 1 << 40, u64::MAX] {
            assert_eq!(call(&mut psci, [ON, affinity, ENTRY, 7]).0, -2, "{affinity:#x}");
            assert_eq!(call(&mut psci, [INFO, affinity, 0, 0]).0, -2, "{affinity:#x}");
        }
        for entry in [0, 0x1000, RAM.start - 4, RAM.end(), ENTRY + 2, u64::MAX, u64::MAX - 3] {
            assert_eq!(call(&mut psci, [ON, 1, entry, 7]).0, -9, "{entry:#x}");
        }
        assert!(!psci.is_pending(1));
        assert_eq!(call(&mut psci, [INFO, 1, 4, 0]).0, -2, "there are four levels");
        assert_eq!(call(&mut psci, [0x8400_0003, 1 | 1 << 32, ENTRY, 0]).0, 0, "32-bit calls cut their arguments");
        assert_eq!(psci.take_start(9), None);
    }
}
