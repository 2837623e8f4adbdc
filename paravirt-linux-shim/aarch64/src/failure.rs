// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Why a guest can't be started, or can't go on. The text goes to the log and to the health
//! monitor.

use core::fmt;

use parzelle_shim_backends::devices::NoDevice;
use parzelle_shim_board::fdt::OutOfRoom;
use parzelle_shim_board::load::{ImageError, RamTooSmall};
use parzelle_shim_board::machine::Report;

/// The end of a guest that nobody wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The description gives this partition no guest.
    NoGuest,
    /// The kernel is none.
    Image(ImageError),
    /// It does not fit.
    Ram(RamTooSmall),
    /// The device tree is too long: bytes of the command line.
    Tree(usize),
    /// The link of that name can't be one of its devices: there are too many, or two of one name.
    Link(&'static str),
    /// The guest switched its last processor off.
    Off,
    /// It said that it can't go on.
    Crashed,
    /// It did something that can't be continued.
    Crash(Report),
    /// The kernel refused a call.
    Refused(parzelle_rt::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGuest => write!(f, "the description gives this partition no guest"),
            Self::Image(error) => error.fmt(f),
            Self::Ram(error) => error.fmt(f),
            Self::Tree(bytes) => {
                write!(f, "the command line ({bytes} bytes) leaves no room for the device tree")
            }
            Self::Link(name) => write!(f, "the guest can't have the device {name}"),
            Self::Off => write!(f, "the guest has switched off its last processor"),
            Self::Crashed => write!(f, "the guest says that it can't go on"),
            Self::Crash(report) => report.fmt(f),
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

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<RamTooSmall> for Failure {
    fn from(error: RamTooSmall) -> Self {
        Self::Ram(error)
    }
}

impl From<parzelle_rt::Error> for Failure {
    fn from(error: parzelle_rt::Error) -> Self {
        Self::Refused(error)
    }
}

/// The tree's own error says nothing more than that.
impl Failure {
    /// The device tree does not fit, with a command line of so many bytes.
    #[must_use]
    pub fn no_room(_: OutOfRoom, cmdline: &str) -> Self {
        Self::Tree(cmdline.len())
    }
}
