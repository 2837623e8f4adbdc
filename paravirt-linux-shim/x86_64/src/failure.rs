// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Why a guest can't be started, or can't go on. The text goes to the log and to the health monitor.

use core::fmt;

use parzelle_shim_backends::devices::NoDevice;
use parzelle_xen::notes::Unfit;
use parzelle_xen::start::Impossible;

/// The end of a guest that nobody wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The description gives this partition no guest.
    NoGuest,
    /// The guest can't be started.
    Impossible(Impossible),
    /// Its first page tables don't fit the kernel's pool.
    Tables,
    /// The guest says that it has crashed.
    Crashed,
    /// It did something that nothing in it handles.
    Beyond(Beyond),
    /// The link of that name can't be one of its devices: there are too many, or two of one name.
    Link(&'static str),
    /// The kernel refused a call.
    Refused(parzelle_rt::Error),
}

/// What a guest does not survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// What, in words.
    pub what: &'static str,
    /// Its vector or number.
    pub number: u64,
    /// Where.
    pub rip: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGuest => f.write_str("the description gives this partition no guest"),
            Self::Impossible(impossible) => impossible.fmt(f),
            Self::Tables => f.write_str("the guest's first page tables don't fit the pool for tables"),
            Self::Crashed => f.write_str("the guest says that it has crashed"),
            Self::Beyond(Beyond { what, number, rip }) => {
                write!(f, "the guest can't go on at {rip:#x}: {what} ({number})")
            }
            Self::Link(name) => write!(f, "the guest can't have the device {name}"),
            Self::Refused(error) => write!(f, "the kernel refused to run the guest: {error}"),
        }
    }
}

impl core::error::Error for Failure {}

impl From<NoDevice> for Failure {
    fn from(error: NoDevice) -> Self {
        match error {
            NoDevice::Link(name) => Self::Link(name),
            NoDevice::Room => Self::NoGuest,
        }
    }
}

impl From<Impossible> for Failure {
    fn from(impossible: Impossible) -> Self {
        Self::Impossible(impossible)
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        Self::Impossible(Impossible::Kernel(unfit))
    }
}

impl From<parzelle_rt::Error> for Failure {
    fn from(error: parzelle_rt::Error) -> Self {
        Self::Refused(error)
    }
}
