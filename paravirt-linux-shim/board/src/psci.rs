// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's firmware: PSCI 1.1 (DEN 0022E, chapter 5) and the version call of the SMC calling
//! convention (DEN 0028E), reached by `hvc #0`.
//!
//! It decides and keeps which vCPUs are on; what follows from a call is returned as an [`Action`]
//! for the shim to perform.

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
    /// Start another vCPU at EL1 with its MMU off: `x0` = context.
    StartVcpu {
        /// Which one: its affinity, and its place in the list of vCPUs.
        vcpu: usize,
        /// Its program counter.
        entry: u64,
        /// Its `x0`.
        context: u64,
    },
    /// Stop the caller until somebody starts it again.
    StopVcpu,
    /// The guest is done.
    PowerOff,
    /// The guest wants to start over.
    Reset,
}

/// Which vCPUs are on, and the calls that change it.
#[derive(Clone, Debug)]
pub struct Psci {
    on: [bool; MAX_VCPUS],
    vcpus: usize,
    ram: Range,
}

impl Psci {
    /// Makes the firmware of a guest with `vcpus` vCPUs, of which the first is on, and with the
    /// memory `ram`.
    #[must_use]
    pub fn new(vcpus: usize, ram: Range) -> Self {
        let mut on = [false; MAX_VCPUS];
        on[0] = true;
        Self { on, vcpus: vcpus.clamp(1, MAX_VCPUS), ram }
    }

    /// Tells whether `vcpu` is on.
    #[must_use]
    pub fn is_on(&self, vcpu: usize) -> bool {
        self.on.get(vcpu).copied().unwrap_or(false)
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
                if let Some(on) = self.on.get_mut(vcpu) {
                    *on = false;
                }
                (status::SUCCESS, Action::StopVcpu)
            }
            Some(Function::CpuOn) => self.cpu_on(argument(1), argument(2), argument(3)),
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

    fn cpu_on(&mut self, affinity: u64, entry: u64, context: u64) -> (i64, Action) {
        match self.target(affinity) {
            None => (status::INVALID_PARAMETERS, Action::Resume),
            Some(vcpu) if self.is_on(vcpu) => (status::ALREADY_ON, Action::Resume),
            Some(_) if !self.ram.contains(entry) || entry & 3 != 0 => (status::INVALID_ADDRESS, Action::Resume),
            Some(vcpu) => {
                self.on[vcpu] = true;
                (status::SUCCESS, Action::StartVcpu { vcpu, entry, context })
            }
        }
    }

    /// Returns 0 (on) or 1 (off). Levels above the vCPU are on as long as anybody asks.
    fn affinity_info(&self, affinity: u64, lowest_level: u64) -> i64 {
        match (self.target(affinity), lowest_level) {
            (Some(vcpu), 0) => i64::from(!self.is_on(vcpu)),
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
        let mut frame = Frame::default();
        frame.x[..4].copy_from_slice(&arguments);
        let action = psci.call(0, &mut frame);
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

    #[test]
    fn starts_each_vcpu_once_and_only_inside_its_memory() {
        let mut psci = Psci::new(2, RAM);
        let entry = RAM.start + 0x1000;
        assert_eq!(call(&mut psci, [0xc400_0003, 2, entry, 7]), (-2, Action::Resume));
        assert_eq!(call(&mut psci, [0xc400_0003, 1, 0x1000, 7]), (-9, Action::Resume));
        assert_eq!(call(&mut psci, [0xc400_0003, 1, entry, 7]), (0, Action::StartVcpu { vcpu: 1, entry, context: 7 }));
        assert_eq!(call(&mut psci, [0xc400_0003, 1, entry, 7]), (-4, Action::Resume));
        assert_eq!(call(&mut psci, [0xc400_0004, 1, 0, 0]), (0, Action::Resume));
        assert_eq!(psci.call(1, &mut Frame { x: [0x8400_0002; 31], ..Frame::default() }), Action::StopVcpu);
        assert_eq!(call(&mut psci, [0xc400_0004, 1, 0, 0]), (1, Action::Resume));
        assert_eq!(call(&mut psci, [0x8400_0003, 1 | 1 << 32, entry, 0]).0, 0, "32-bit calls cut their arguments");
    }
}
