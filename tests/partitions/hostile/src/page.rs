// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Garbage in the vCPU page while calls run, and `resume` to frames made up.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parzelle_rt::abi::vcpu_page::{FRAME, VcpuHead};
use parzelle_rt::abi::{Call, PAGE};
use parzelle_rt::arch::{Frame, frame_for};
use parzelle_rt::{Partition, VcpuPage, upcall};
use test_support::{probe, raw};

use crate::{Attack, attack, memory};

/// Words of the head.
const WORDS: usize = size_of::<VcpuHead>() / 8;

/// The head as the kernel wrote it, which this program needs to tell the time.
static HEAD: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

/// Keeps the head.
pub(crate) fn save() {
    let page = VcpuPage::first().memory();
    for (offset, word) in (0..).step_by(8).zip(&HEAD) {
        word.store(page.load_u64(offset).unwrap_or(0), Relaxed);
    }
}

/// Puts the head back; its first word, among others, so upcalls aren't masked.
pub(crate) fn restore() {
    let page = VcpuPage::first().memory();
    for (offset, word) in (0..).step_by(8).zip(&HEAD) {
        page.store_u64(offset, word.load(Relaxed));
    }
}

impl Attack {
    /// Fills the page, or a part of it, with garbage, and goes on calling.
    pub(crate) fn garbage(&mut self) {
        let page = VcpuPage::first().memory();
        let head = size_of::<VcpuHead>() as u64;
        let (from, to) = match self.random.below(4) {
            0 => (0, head),
            1 => (8, head),
            2 => (FRAME, PAGE),
            _ => (0, PAGE),
        };
        for offset in (from..to).step_by(8) {
            page.store_u64(offset, self.random.edge());
        }
        for _ in 0..self.random.below(8) {
            self.call();
        }
        // A fault now finds upcalls masked, if the garbage says so: then it is a restart.
        if self.random.below(4) == 0 {
            let address = memory::outside(&mut self.random);
            if probe::read(address).is_ok() {
                self.breach(format_args!("{address:#x} was read"));
            }
        }
        restore();
    }

    /// Resumes at a frame that makes sense or at one that doesn't.
    pub(crate) fn resume(&mut self) {
        let stack = Partition::get().header().stack_top;
        let mut frame = frame_for(attack, stack, 0);
        if self.random.below(4) == 0 {
            let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut frame);
            for word in bytes.chunks_exact_mut(8) {
                let value = match self.random.below(3) {
                    0 => memory::outside(&mut self.random),
                    _ => self.random.edge(),
                };
                word.copy_from_slice(&value.to_le_bytes());
            }
            frame.pc = memory::outside(&mut self.random);
        } else {
            decorate(&mut frame, self.random.edge());
        }
        let memory = VcpuPage::first().memory();
        memory.write(FRAME, zerocopy::IntoBytes::as_bytes(&frame));
        if self.random.below(16) == 0 {
            // SAFETY: without upcalls enabled, `resume` may be asked all the same.
            let _ = unsafe { raw(Call::SetUpcall as u64, [0; 5]) };
        }
        // SAFETY: the frame begins `attack` anew, or faults, which begins it anew.
        let _ = unsafe { upcall::resume() };
    }
}

/// Asks for processor states that the kernel must not give: other exception levels, I/O privilege,
/// masked interrupts.
#[cfg(target_arch = "aarch64")]
fn decorate(frame: &mut Frame, bits: u64) {
    frame.pstate = bits;
}

/// See above.
#[cfg(target_arch = "x86_64")]
fn decorate(frame: &mut Frame, bits: u64) {
    // But for the direction flag and alignment checks, which compiled code does not expect.
    frame.flags = bits & !(1 << 10 | 1 << 18);
}
