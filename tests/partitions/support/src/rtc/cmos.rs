// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! MC146818 (Motorola data sheet): the clock notes each second in register C; the interrupt comes
//! at once if it is enabled when that is noted already.

use core::arch::asm;

use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, now};

const REGISTER_A: u8 = 0x0a;
/// The divider of its 32,768 Hz, and the highest rate of the periodic interrupt: 8,192 Hz.
const A_FASTEST: u8 = 0x23;
const REGISTER_B: u8 = 0x0b;
/// 24 hours, and the interrupt at each second.
const B_QUIET: u8 = 1 << 1;
const B_UPDATE: u8 = 1 << 4;
const B_PERIODIC: u8 = 1 << 6;
const REGISTER_C: u8 = 0x0c;
const REGISTER_SECONDS: u8 = 0;

/// The clock.
#[derive(Debug)]
pub struct Rtc(u16);

impl Rtc {
    /// Finds it.
    ///
    /// # Errors
    /// `Missing` if the partition doesn't own `rtc0`.
    pub fn open(me: &Partition) -> Result<Self, Error> {
        let (first, count) = me.io_ports("rtc0")?;
        if count < 2 {
            return Err(Error::Bounds);
        }
        Ok(Self(first))
    }

    /// Waits until a second has been noted, so that the next [`Self::fire`] has something to tell.
    pub fn prepare(&mut self) {
        let before = self.read(REGISTER_SECONDS);
        let deadline = now() + 2 * SECOND;
        while self.read(REGISTER_SECONDS) == before && now() < deadline {
            sleep(MILLISECOND);
        }
    }

    /// Raises the interrupt.
    pub fn fire(&mut self) {
        self.write(REGISTER_B, B_QUIET | B_UPDATE);
    }

    /// Raises the interrupt; returns the counter as it was just before.
    #[inline(always)]
    pub fn fire_timed(&mut self) -> u64 {
        self.read(REGISTER_B);
        let before = parzelle_sys::counter();
        // SAFETY: as in `write`; the read has chosen the register.
        unsafe {
            asm!(
                "out dx, al", in("edx") u32::from(self.0) + 1, in("al") B_QUIET | B_UPDATE,
                options(nomem, nostack),
            );
        }
        before
    }

    /// Raises the interrupt 8,192 times per second; each has to be ended by a call of this.
    pub fn storm(&mut self) {
        self.write(REGISTER_A, A_FASTEST);
        self.write(REGISTER_B, B_QUIET | B_PERIODIC);
        self.read(REGISTER_C);
    }

    /// Ends it.
    pub fn quiet(&mut self) {
        self.write(REGISTER_B, B_QUIET);
        self.read(REGISTER_C);
    }

    /// Reads a register.
    fn read(&self, register: u8) -> u8 {
        let value;
        // SAFETY: `open` has checked that the ports are this partition's; the device touches no
        // memory.
        unsafe {
            asm!(
                "out dx, al", "inc edx", "in al, dx",
                inout("edx") u32::from(self.0) => _, inout("al") register => value,
                options(nomem, nostack),
            );
        }
        value
    }

    /// Writes a register.
    fn write(&self, register: u8, value: u8) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "out dx, al", "inc edx", "mov al, {value}", "out dx, al",
                value = in(reg_byte) value, inout("edx") u32::from(self.0) => _,
                inout("al") register => _,
                options(nomem, nostack),
            );
        }
    }
}
