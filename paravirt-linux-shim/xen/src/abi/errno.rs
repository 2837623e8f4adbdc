// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Why a hypercall is refused (`errno.h`): the guest gets the number, negated.

super::numbers! {
    /// A refusal.
    Errno {
        /// Not permitted.
        Perm = 1,
        /// There is no such thing.
        NoEntry = 2,
        /// There is no such domain.
        NoDomain = 3,
        /// Too large.
        TooBig = 7,
        /// Try again.
        Again = 11,
        /// Not enough memory.
        NoMemory = 12,
        /// No access.
        Access = 13,
        /// An address of the guest where there is none of its memory.
        Fault = 14,
        /// In use.
        Busy = 16,
        /// There is one already.
        Exists = 17,
        /// There is no such device.
        NoDevice = 19,
        /// Invalid.
        Invalid = 22,
        /// No room left.
        NoSpace = 28,
        /// There is no such hypercall, or it does not have this operation.
        NoSystem = 38,
        /// That moment has passed.
        Time = 62,
        /// Not supported.
        NotSupported = 95,
    }
}

impl Errno {
    /// What the guest finds in its result register.
    #[must_use]
    pub const fn result(self) -> u64 {
        (self.number() as u64).wrapping_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_small_negative_number() {
        assert_eq!(Errno::NoSystem.result() as i64, -38);
        assert_eq!(Errno::from_number(14), Some(Errno::Fault));
    }
}
