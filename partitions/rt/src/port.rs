// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ports (ARINC 653 Part 1, §2.3.5.6): sampling (the newest message, valid within its refresh
//! period) and queuing (first in, first out). The kernel copies; no call blocks.

use parzelle_abi::Call;
use parzelle_abi::info::{ObjectInfo, ObjectKind};

use crate::call::{plain, reading, writing};
use crate::error::Error;
use crate::partition::Partition;

/// Declares an end of a channel: the type, its lookup by name, and what all ends have.
macro_rules! end {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $lookup:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name(&'static ObjectInfo);

        impl $name {
            /// The largest message, in bytes.
            pub fn message_size(&self) -> usize {
                self.0.size as usize
            }

            /// The events that the kernel raises for it, as a mask; 0 for none.
            pub fn event(&self) -> u64 {
                mask(self.0)
            }

            /// Messages that are waiting (sampling: 1 if one was ever written).
            ///
            /// # Errors
            /// None for a port of this partition.
            pub fn waiting(&self) -> Result<u64, Error> {
                Ok(plain(Call::PortStatus, [u64::from(self.0.number), 0, 0])?)
            }

            /// The number that kernel calls take.
            pub fn number(&self) -> u32 {
                self.0.number
            }
        }

        impl Partition {
            #[doc = concat!("The ", $what, " of that name.")]
            ///
            /// # Errors
            /// [`Error::Missing`] if the description gives none.
            pub fn $lookup(&self, name: &str) -> Result<$name, Error> {
                self.object(ObjectKind::$kind, name).map($name)
            }
        }
    };
}

end! {
    /// The writing end of a sampling channel.
    SamplingSource, SamplingSource, sampling_source, "source of a sampling channel"
}
end! {
    /// A reading end of a sampling channel.
    SamplingDestination, SamplingDestination, sampling_destination, "destination of a sampling channel"
}
end! {
    /// The sending end of a queuing channel.
    QueuingSource, QueuingSource, queuing_source, "source of a queuing channel"
}
end! {
    /// The receiving end of a queuing channel.
    QueuingDestination, QueuingDestination, queuing_destination, "destination of a queuing channel"
}

/// The event bit of an object as a mask.
pub(crate) fn mask(object: &ObjectInfo) -> u64 {
    1u64.checked_shl(object.event).unwrap_or(0)
}

/// A message that was read from a sampling port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its length in bytes.
    pub length: usize,
    /// It is not older than the refresh period.
    pub valid: bool,
}

impl SamplingSource {
    /// Writes the newest message; readers see it from now on.
    ///
    /// # Errors
    /// `WrongSize` for an empty message or one that is too long.
    #[inline]
    pub fn write(&self, message: &[u8]) -> Result<(), Error> {
        Ok(reading(Call::SamplingWrite, u64::from(self.0.number), message).map(|_| ())?)
    }
}

impl SamplingDestination {
    /// Reads the newest message.
    ///
    /// # Errors
    /// `Empty` if none was ever written, `WrongSize` if `buffer` is too short.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> Result<Sample, Error> {
        let value = writing(Call::SamplingRead, u64::from(self.0.number), buffer, 0)?;
        Ok(Sample { length: value as u32 as usize, valid: value >> 32 != 0 })
    }

    /// The refresh period in nanoseconds.
    pub fn refresh_period(&self) -> u64 {
        self.0.extra
    }
}

impl QueuingSource {
    /// Sends a message.
    ///
    /// # Errors
    /// `Full` if there is no room, `WrongSize` for an empty message or one that is too long.
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        Ok(reading(Call::QueuingSend, u64::from(self.0.number), message).map(|_| ())?)
    }

    /// Messages that the queue holds at most.
    pub fn depth(&self) -> u64 {
        self.0.extra
    }
}

impl QueuingDestination {
    /// Receives the oldest message; returns its length.
    ///
    /// # Errors
    /// `Empty` if none is there, `WrongSize` if `buffer` is too short (the message stays).
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        Ok(writing(Call::QueuingReceive, u64::from(self.0.number), buffer, 0)? as usize)
    }
}
