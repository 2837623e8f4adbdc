// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Upcalls: the kernel interrupts the program when an event is pending or when the program did
//! something wrong, and the handler decides where to go on. Schedulers of user-level threads are
//! built of this.
//!
//! ```text
//!   program ──► event or fault ──► kernel: frame → vCPU page, upcalls masked
//!      ▲                             │
//!      │                             ▼
//!   resume ◄── FP registers ◄── handler(&mut Upcall): may exchange frame and FP registers
//! ```
//! The handler runs on a stack of its own and isn't interrupted: what comes meanwhile enters it
//! anew when it returns. A fault *in* the handler is an error of the partition.

use parzelle_abi::Call;
use parzelle_abi::health::ErrorId;
use parzelle_abi::vcpu_page::UpcallReason;

use crate::arch::{FpState, Frame, upcall_fp, upcall_plain};
use crate::call;
use crate::error::Error;
use crate::partition::Partition;
use crate::vcpu::VcpuPage;

/// Something that this program did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it was.
    pub error: ErrorId,
    /// The processor's code for it (ESR_EL2; vector | error code << 32).
    pub syndrome: u64,
    /// The address that was touched.
    pub address: u64,
}

/// What a handler is told, and what it may change.
#[derive(Debug)]
pub struct Upcall<'a> {
    /// The events taken with this upcall; 0 for a fault.
    pub events: u64,
    /// The fault, if that is the reason.
    pub fault: Option<Fault>,
    /// The interrupted FP registers; `None` in a program without.
    pub fp: Option<&'a mut FpState>,
    page: VcpuPage,
}

impl Upcall<'_> {
    /// The interrupted frame.
    pub fn frame(&self) -> Frame {
        self.page.frame()
    }

    /// Lets the program go on at another frame than the interrupted one.
    ///
    /// # Safety
    /// As for [`VcpuPage::set_frame`].
    pub unsafe fn set_frame(&mut self, frame: &Frame) {
        // SAFETY: the caller's.
        unsafe { self.page.set_frame(frame) };
    }
}

/// A handler.
pub type Handler = fn(&mut Upcall<'_>);

/// A stack for upcalls.
#[repr(C, align(16))]
pub struct Stack<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Stack<BYTES> {
    /// A stack of `BYTES`; with FP registers at least 2 KiB.
    pub const fn new() -> Self {
        Self([0; BYTES])
    }
}

impl<const BYTES: usize> Default for Stack<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize> core::fmt::Debug for Stack<BYTES> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "stack of {BYTES} bytes")
    }
}

/// What lies at the top of the stack for [`parzelle_rt_upcall`].
#[repr(C)]
pub(crate) struct Head {
    page: u64,
    handler: Handler,
}

/// Asks for upcalls of the calling vCPU, which is number `vcpu`, on the events in `interest` and
/// on faults.
///
/// # Errors
/// `Missing` objects never; the kernel's errors if it does not like the addresses; `Bounds` for a
/// stack that is too small or a vCPU that isn't there.
pub fn enable<const BYTES: usize>(
    vcpu: u32,
    handler: Handler,
    stack: &'static mut Stack<BYTES>,
    interest: u64,
) -> Result<Registration, Error> {
    let page = VcpuPage::of(vcpu).ok_or(Error::Bounds)?.memory().address();
    let top = BYTES.checked_sub(size_of::<Head>()).map(|top| top & !15).ok_or(Error::Bounds)?;
    let head = stack.0.as_mut_ptr().wrapping_add(top).cast::<Head>();
    // SAFETY: `top` is a multiple of 16 within an array that is aligned to 16, with room for the
    // head behind it; the stack is borrowed for ever, so nobody else uses it.
    unsafe { head.write(Head { page, handler }) };
    let entry = if Partition::get().has_fp() { upcall_fp } else { upcall_plain };
    let registration = Registration([entry as *const () as u64, head as u64, interest, 0, 0]);
    registration.renew()?;
    Ok(registration)
}

/// What the kernel was asked for by [`enable`].
#[derive(Clone, Copy, Debug)]
pub struct Registration([u64; 5]);

impl Registration {
    /// Asks again, after [`disable`].
    ///
    /// # Errors
    /// None with a kernel.
    pub fn renew(&self) -> Result<(), Error> {
        // SAFETY: the entry was made to be entered by upcalls, on a stack with that head, which is
        // borrowed for ever (condition 2 of `parzelle_sys::call`).
        let result = unsafe { parzelle_sys::call(Call::SetUpcall as u64, self.0) };
        Ok(call::result(result).map(|_| ())?)
    }
}

/// Turns upcalls off: events stay pending for [`crate::time::wait`], faults go to the health
/// monitor.
///
/// # Errors
/// None with a kernel.
pub fn disable() -> Result<(), Error> {
    // SAFETY: entry 0 means none; nothing is handed over.
    Ok(call::result(unsafe { parzelle_sys::call(Call::SetUpcall as u64, [0; 5]) }).map(|_| ())?)
}

/// Leaves for the frame in the vCPU page. Returns only an error.
///
/// # Safety
/// The frame is one at which this program may continue; nothing on the stack is needed any more.
pub unsafe fn resume() -> Error {
    // SAFETY: the caller's (condition 3).
    let status = unsafe { parzelle_sys::call(Call::Resume as u64, [0; 5]) };
    match call::result(status) {
        Err(error) => error.into(),
        Ok(_) => parzelle_abi::Error::InvalidMode.into(),
    }
}

/// What the trampoline calls.
///
/// # Safety
/// `head` is what [`enable`] stored (or null), `fp` is null or points to the interrupted FP
/// registers, on this stack.
pub(crate) unsafe extern "C" fn parzelle_rt_upcall(reason: u64, events: u64, head: *const Head, fp: *mut FpState) {
    // SAFETY: `enable` stored it on a stack that is borrowed for ever.
    let Some(head) = (unsafe { head.as_ref() }) else { return };
    // SAFETY: `enable` stored the address of a vCPU page of this partition.
    let page = VcpuPage(unsafe { crate::mem::Volatile::new(head.page, parzelle_abi::PAGE) });
    let fault = (reason == UpcallReason::Fault as u64).then(|| {
        let (error, syndrome, address) = page.fault();
        let error = ErrorId::from_number(error).unwrap_or(ErrorId::HardwareFault);
        Fault { error, syndrome, address }
    });
    // SAFETY: as the caller says; the trampoline doesn't touch them before this returns.
    let fp = unsafe { fp.as_mut() };
    (head.handler)(&mut Upcall { events, fault, fp, page });
}
