// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How fast time-stamp counter and local timer run, against the ACPI timer.
//!
//! Both ends of the measurement are edges of the ACPI timer, so the error is what one read of its
//! port takes. 20 ms give 15 ppm at one tick of doubt.

use super::acpi::Acpi;
use super::features::Features;
use super::{FIRMWARE, Refusal, ensure};
use crate::instructions::{in32, read_tsc};
use crate::irqchip::Local;
use crate::layout::common;
use crate::mmio::Registers;
use crate::timer::{ACPI_TIMER, Clock, FREQUENCIES, Rate, Timer, frequency, rounded};
use parzelle_plan::Plan;

/// Ticks of the ACPI timer to measure for: 20 ms.
const INTERVAL: u64 = ACPI_TIMER / 50;
/// Reads after which a timer that doesn't move is given up.
const PATIENCE: u32 = 10_000_000;

const STANDS_STILL: Refusal = Refusal::Sentence("the clock can't be measured:", "the ACPI timer stands still");
const ODD: Refusal = Refusal::Sentence("the clock can't be used:", "a timer runs below 1 MHz or above 7.9 GHz");

/// A counter behind a port that wraps.
struct Reference {
    port: u16,
    mask: u32,
}

impl Reference {
    fn read(&self) -> u32 {
        // SAFETY: reading the ACPI timer changes nothing.
        (unsafe { in32(self.port) }) & self.mask
    }

    /// Waits until the counter shows something else than `last`; returns what.
    fn edge(&self, last: u32) -> Option<u32> {
        (0..PATIENCE).map(|_| self.read()).find(|&now| now != last)
    }
}

/// Measures. Leaves the local timer stopped.
pub(crate) fn measure(plan: &Plan<'_>, acpi: &Acpi, features: &Features) -> Result<Timer, Refusal> {
    // SAFETY: the address was compared with the firmware's; the boot root and all later roots map it.
    let registers = unsafe { Registers::new(common(plan.system.irqchip_base)) };
    let local = Local::new(registers);
    let (port, wide) = acpi.timer.ok_or(Refusal::Sentence(FIRMWARE, "FADT names no ACPI timer"))?;
    let timer = Reference { port, mask: if wide { u32::MAX } else { 0xff_ffff } };
    local.begin(false);
    local.count_down();
    let first = timer.edge(timer.read()).ok_or(STANDS_STILL)?;
    let (ticks, count) = (read_tsc(), local.count());
    let mut last = first;
    let mut passed = 0u64;
    while passed < INTERVAL {
        let now = timer.edge(last).ok_or(STANDS_STILL)?;
        passed += u64::from(now.wrapping_sub(last) & timer.mask);
        last = now;
    }
    let (ticks_end, count_end) = (read_tsc(), local.count());
    local.set_count(0);
    let counter = rounded(frequency(ticks_end.wrapping_sub(ticks), passed));
    let local_timer = rounded(frequency(u64::from(count.wrapping_sub(count_end)), passed));
    let rate = if features.deadline { counter } else { local_timer };
    ensure([counter, rate].iter().all(|frequency| FREQUENCIES.contains(frequency)), ODD)?;
    Ok(Timer { clock: Clock::new(ticks, counter), rate: Rate::new(rate), deadline: features.deadline, local })
}
