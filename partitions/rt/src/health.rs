// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Operating modes, the health monitor, accounts, schedules and the module: what a partition says
//! of itself, and what it may know of and do to others where the description gives the right.

use parzelle_abi::Call;
use parzelle_abi::health::{Condition, ErrorId, Mode};
use parzelle_abi::info::{ObjectInfo, ObjectKind, SELF};
use parzelle_abi::stats::Statistics;
use zerocopy::IntoBytes;

use crate::call::{plain, reading, writing};
use crate::error::Error;
use crate::partition::Partition;

/// Says that this partition has started: its mode becomes NORMAL, and the next one of the start
/// order may begin.
///
/// # Errors
/// `InvalidMode` if it is NORMAL already.
pub fn ready() -> Result<(), Error> {
    set_mode(Mode::Normal)
}

/// Sets the operating mode (ARINC 653 SET_PARTITION_MODE): a start mode restarts the partition,
/// `Idle` stops it; neither returns.
///
/// # Errors
/// `InvalidMode` for a change that ARINC 653 doesn't have (Part 1, §3.2.2.2).
pub fn set_mode(mode: Mode) -> Result<(), Error> {
    Ok(plain(Call::SetMode, [mode as u64, 0, 0]).map(|_| ())?)
}

/// What a partition is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its operating mode.
    pub mode: Mode,
    /// Why it was started last.
    pub condition: Condition,
    /// How often it was restarted.
    pub generation: u32,
}

/// The status of partition `number` ([`SELF`] for one's own).
///
/// # Errors
/// `NotPermitted` without a right over it.
pub fn status(number: u64) -> Result<Status, Error> {
    let value = plain(Call::Status, [number, 0, 0])?;
    Ok(Status {
        mode: Mode::from_number(value & 0xff).unwrap_or(Mode::Idle),
        condition: Condition::from_number(value >> 8 & 0xff).unwrap_or(Condition::NormalStart),
        generation: (value >> 32) as u32,
    })
}

/// Reports an error of this program to the health monitor, with a message (ARINC 653
/// RAISE_APPLICATION_ERROR). Returns only if the action leaves the partition running.
///
/// # Errors
/// `WrongSize` if the message is longer than the kernel takes.
pub fn raise(error: ErrorId, message: &[u8]) -> Result<(), Error> {
    Ok(reading(Call::RaiseError, error as u64, message).map(|_| ())?)
}

/// The counters of partition `number` ([`SELF`] for one's own) on a core, `None` for all together.
///
/// # Errors
/// `NotPermitted` without the right, `NoSuchObject` if there is no such core.
pub fn statistics(number: u64, core: Option<u32>) -> Result<Statistics, Error> {
    let mut statistics = Statistics::default();
    writing(Call::Statistics, number, statistics.as_mut_bytes(), core.map_or(SELF, u64::from))?;
    Ok(statistics)
}

/// Own counters.
///
/// # Errors
/// None with a kernel.
pub fn own_statistics() -> Result<Statistics, Error> {
    statistics(SELF, None)
}

/// Another partition over which this one has a right.
#[derive(Clone, Copy, Debug)]
pub struct Other(&'static ObjectInfo);

impl Other {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.name.as_str()
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// Its counters.
    ///
    /// # Errors
    /// `NotPermitted` without the right `statistics`.
    pub fn statistics(&self) -> Result<Statistics, Error> {
        statistics(u64::from(self.0.number), None)
    }

    /// Its counters on one core.
    ///
    /// # Errors
    /// `NotPermitted` without the right `statistics`, `NoSuchObject` if there is no such core.
    pub fn statistics_on(&self, core: u32) -> Result<Statistics, Error> {
        statistics(u64::from(self.0.number), Some(core))
    }

    /// Its status.
    ///
    /// # Errors
    /// `NotPermitted` without the right `statistics` or `start-stop`.
    pub fn status(&self) -> Result<Status, Error> {
        status(u64::from(self.0.number))
    }

    /// Restarts it (`ColdStart`, `WarmStart`) or stops it (`Idle`).
    ///
    /// # Errors
    /// `NotPermitted` without the right `start-stop`, `InvalidArgument` for `Normal`.
    pub fn control(&self, mode: Mode) -> Result<(), Error> {
        let arguments = [u64::from(self.0.number), mode as u64, 0];
        Ok(plain(Call::Control, arguments).map(|_| ())?)
    }
}

/// How this partition ends the module, if it has the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Stops it.
    Stop = 0,
    /// Resets it.
    Reset = 1,
    /// Stops it and reports failure.
    Fail = 2,
}

/// Ends the module. Returns only if that isn't permitted.
///
/// # Errors
/// `NotPermitted` without the right `module`.
pub fn end_module(how: End) -> Result<(), Error> {
    Ok(plain(Call::Module, [how as u64, 0, 0]).map(|_| ())?)
}

/// Ends the module after a quarter of a second, in which the console can print what was logged.
pub fn finish(how: End) -> ! {
    crate::time::sleep(crate::time::SECOND / 4);
    // Whoever calls this without the right waits for somebody who has it.
    let _ = end_module(how);
    crate::time::idle()
}

impl Partition {
    /// The partitions over which this one has a right.
    pub fn others(&self) -> impl Iterator<Item = Other> + use<> {
        self.objects_of(ObjectKind::Partition).map(Other)
    }

    /// The partition of that name.
    ///
    /// # Errors
    /// [`Error::Missing`] if the description gives no right over it.
    pub fn other(&self, name: &str) -> Result<Other, Error> {
        self.object(ObjectKind::Partition, name).map(Other)
    }

    /// Switches to the schedule of that name, at the end of the frame.
    ///
    /// # Errors
    /// [`Error::Missing`] if the description gives no right to it.
    pub fn switch_schedule(&self, name: &str) -> Result<(), Error> {
        let schedule = self.object(ObjectKind::Schedule, name)?;
        Ok(plain(Call::SetSchedule, [u64::from(schedule.number), 0, 0]).map(|_| ())?)
    }
}
