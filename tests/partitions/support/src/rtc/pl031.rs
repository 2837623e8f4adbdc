// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! PL031 (Arm DDI 0224, chapter 3): raises its interrupt when the match register equals the count,
//! so at once when it is set to the present second.

use parzelle_rt::{Error, Partition, Registers};

const DATA: u64 = 0x00;
const MATCH: u64 = 0x04;
const MASK: u64 = 0x10;
const CLEAR: u64 = 0x1c;

/// The clock.
#[derive(Debug)]
pub struct Rtc(Registers);

impl Rtc {
    /// Finds it.
    ///
    /// # Errors
    /// `Missing` if the partition doesn't own `rtc0`.
    pub fn open(me: &Partition) -> Result<Self, Error> {
        Ok(Self(me.registers("rtc0")?))
    }

    /// Lets the next [`Self::fire`] be heard.
    pub fn prepare(&mut self) {
        self.0.write(MASK, 1);
    }

    /// Raises the interrupt.
    pub fn fire(&mut self) {
        self.0.write(MATCH, self.0.read(DATA));
    }

    /// Raises the interrupt; returns the counter as it was just before.
    #[inline(always)]
    pub fn fire_timed(&mut self) -> u64 {
        let (second, registers) = (self.0.read(DATA), self.0.memory());
        let before = parzelle_sys::counter();
        registers.store_u32(MATCH, second);
        before
    }

    /// Raises the interrupt as soon as the last one has been ended, without end.
    pub fn storm(&mut self) {
        self.0.write(CLEAR, 1);
        self.prepare();
        self.fire();
    }

    /// Ends it.
    pub fn quiet(&mut self) {
        self.0.write(CLEAR, 1);
        self.0.write(MASK, 0);
    }
}
