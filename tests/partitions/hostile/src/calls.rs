// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random kernel calls: all numbers, arguments that programs get wrong.
//!
//! Three calls are tamed a little, or nothing else would ever happen: a wait mostly ends, the
//! partition's mode changes seldom, and `resume` finds a frame that was put there on purpose.

use core::cell::UnsafeCell;

use parzelle_rt::abi::info::layout;
use parzelle_rt::abi::{Call, MESSAGE_MAX};
use test_support::raw;

use crate::{Attack, memory};

/// Bytes that the kernel may write to.
const SCRATCH: usize = 8192;

/// Memory for the kernel to write to.
#[repr(C, align(4096))]
struct Scratch(UnsafeCell<[u8; SCRATCH]>);

// SAFETY: nobody in this program reads or writes it.
unsafe impl Sync for Scratch {}

static AREA: Scratch = Scratch(UnsafeCell::new([0; SCRATCH]));

impl Attack {
    /// Makes one call.
    pub(crate) fn call(&mut self) {
        let number = match self.random.below(16) {
            0 => self.random.edge(),
            _ => self.random.below(Call::ALL.len() as u64),
        };
        let mut arguments = [(); 5].map(|()| self.argument());
        match Call::from_number(number) {
            Some(Call::Wait) => self.soon(&mut arguments[0]),
            Some(Call::SetMode) if self.random.below(32) != 0 => arguments[0] |= 4,
            Some(Call::Resume) => return self.resume(),
            _ => {}
        }
        // SAFETY: the kernel may write only to the scratch area or the vCPU page, whatever of
        // this program's memory it is given to read; flow of control that it changes comes back
        // through the upcall handler or a restart.
        let _ = unsafe { raw(number, arguments) };
        if number == Call::SetUpcall as u64 {
            // Refused never; without upcalls the next fault is a restart.
            let _ = self.upcalls.renew();
        }
    }

    /// An argument: an edge, a small number, or an address of any kind.
    fn argument(&mut self) -> u64 {
        let jitter = self.random.edge() & 0xfff;
        match self.random.below(10) {
            0..3 => self.random.edge(),
            3..5 => self.random.below(4),
            5 => AREA.0.get() as u64 + self.random.below(SCRATCH as u64 - u64::from(MESSAGE_MAX)),
            6 => layout::VCPU_PAGES + jitter,
            7 => self.random.pick(&[layout::INFO, layout::LOADER, layout::PROGRAM]) + jitter,
            8 => memory::outside(&mut self.random),
            _ => u64::MAX,
        }
    }

    /// Makes a deadline one that comes within some microseconds; once in a while it stays.
    fn soon(&mut self, deadline: &mut u64) {
        if self.random.below(500) != 0 {
            // SAFETY: hands over no memory.
            let now = unsafe { raw(Call::Time as u64, [0; 5]) }.unwrap_or(0);
            *deadline = now.wrapping_add(self.random.below(20_000));
        }
    }
}
