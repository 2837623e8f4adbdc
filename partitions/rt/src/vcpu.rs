// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! vCPUs: their pages, which the kernel and the program share, and starting and waking the others
//! of this partition.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_abi::health::{Condition, Mode};
use parzelle_abi::vcpu_page::{FRAME, VcpuHead};
use parzelle_abi::{Call, PAGE};

use crate::arch::Frame;
use crate::call;
use crate::error::Error;
use crate::mem::Volatile;
use crate::partition::Partition;

/// The page of vCPU 0; 0 on a host.
static FIRST: AtomicU64 = AtomicU64::new(0);

/// Remembers the page of vCPU 0; called once at the start.
pub(crate) fn set_first(page: u64) {
    FIRST.store(page, Ordering::Relaxed);
}

/// A vCPU page: what the kernel tells a vCPU, and where it leaves interrupted frames.
#[derive(Clone, Copy, Debug)]
pub struct VcpuPage(pub(crate) Volatile);

impl VcpuPage {
    /// The page of vCPU 0. On a host: a page of zeros.
    pub fn first() -> Self {
        let page = FIRST.load(Ordering::Relaxed);
        let bytes = if page == 0 { 0 } else { PAGE };
        // SAFETY: the kernel passed the address at the start; the page is mapped for as long as
        // the partition runs and holds integers only.
        Self(unsafe { Volatile::new(page, bytes) })
    }

    /// The page of a vCPU of this partition.
    pub fn of(vcpu: u32) -> Option<Self> {
        let partition = Partition::get();
        let header = partition.header();
        let page = header.vcpu_pages + u64::from(vcpu) * PAGE;
        // SAFETY: as above; the tool maps one page per vCPU from `vcpu_pages` on.
        (vcpu < header.vcpus).then(|| Self(unsafe { Volatile::new(page, PAGE) }))
    }

    /// The whole page.
    pub fn memory(&self) -> Volatile {
        self.0
    }

    /// A word of the head.
    fn word(&self, offset: usize) -> u64 {
        self.0.load_u64(offset as u64).unwrap_or(0)
    }

    /// When the partition's latest window was planned to start, in nanoseconds since boot.
    pub fn window_start(&self) -> u64 {
        self.word(offset_of!(VcpuHead, window_start))
    }

    /// How often the partition was restarted.
    pub fn generation(&self) -> u64 {
        self.word(offset_of!(VcpuHead, generation))
    }

    /// Why it was (re)started.
    pub fn condition(&self) -> Condition {
        let number = self.word(offset_of!(VcpuHead, condition));
        Condition::from_number(number).unwrap_or(Condition::NormalStart)
    }

    /// The mode in which it was started: with everything as in the image, or with retained memory.
    pub fn mode(&self) -> Mode {
        Mode::from_number(self.word(offset_of!(VcpuHead, mode))).unwrap_or(Mode::ColdStart)
    }

    /// The number of this vCPU in its partition.
    pub fn vcpu(&self) -> u64 {
        self.word(offset_of!(VcpuHead, vcpu))
    }

    /// Ticks of the counter per second, (zero, scale) to nanoseconds: see [`VcpuHead`].
    pub fn counter(&self) -> (u64, u64, u64) {
        (
            self.word(offset_of!(VcpuHead, counter_frequency)),
            self.word(offset_of!(VcpuHead, counter_zero)),
            self.word(offset_of!(VcpuHead, counter_scale)),
        )
    }

    /// Masks upcalls on this vCPU; the next `resume` unmasks them.
    pub fn mask_upcalls(&self) {
        self.0.store_u64(offset_of!(VcpuHead, masked) as u64, 1);
    }

    /// (error, syndrome, address) of the latest fault.
    pub(crate) fn fault(&self) -> (u64, u64, u64) {
        (
            self.word(offset_of!(VcpuHead, error)),
            self.word(offset_of!(VcpuHead, syndrome)),
            self.word(offset_of!(VcpuHead, address)),
        )
    }

    /// The frame that the latest upcall interrupted.
    pub fn frame(&self) -> Frame {
        let mut frame = Frame::default();
        self.0.read(FRAME, zerocopy::IntoBytes::as_mut_bytes(&mut frame));
        frame
    }

    /// Replaces the frame at which `resume` continues.
    ///
    /// # Safety
    /// The frame is one at which this program may continue: an interrupted one, or one whose
    /// program counter, stack and arguments were made for each other.
    pub unsafe fn set_frame(&self, frame: &Frame) {
        self.0.write(FRAME, zerocopy::IntoBytes::as_bytes(frame));
    }
}

/// Starts another vCPU of this partition at `entry(argument)`, on the stack that the tool laid out
/// for it. `entry` must not return; if it does, the vCPU waits for ever.
///
/// # Errors
/// The kernel's, for a number that the partition doesn't have or a vCPU that runs already.
pub fn start(vcpu: u32, entry: extern "C" fn(argument: u64) -> !, argument: u64) -> Result<(), Error> {
    let partition = Partition::get();
    let header = partition.header();
    let stack = header.stack_top.wrapping_sub(u64::from(vcpu) * header.stack_stride);
    let stack = stack - crate::arch::ENTRY_STACK_BIAS;
    let arguments = [u64::from(vcpu), entry as usize as u64, stack, argument, 0];
    // SAFETY: the entry never returns and takes one argument; the stack is one that the tool made
    // for that vCPU alone, and a vCPU can be started only once (condition 2).
    let result = unsafe { parzelle_sys::call(Call::StartVcpu as u64, arguments) };
    Ok(call::result(result).map(|_| ())?)
}

/// Raises events (of [`parzelle_abi::event::SOFTWARE`]) in another vCPU of this partition.
///
/// # Errors
/// The kernel's, for a vCPU that isn't there or other events.
pub fn kick(vcpu: u32, events: u64) -> Result<(), Error> {
    Ok(call::plain(Call::Kick, [u64::from(vcpu), events, 0]).map(|_| ())?)
}
