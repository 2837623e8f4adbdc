// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The processor as the kernel core sees it.

use crate::context::{self, Context, FP, FP_IS_GUESTS, FRAME_ROOM, FpArea, GUEST, IN_GUEST, SHARED_VMID};
use crate::context::{host_pstate, owns_fp};
use crate::control::{self, CPTR_FP, CPTR_TRAP};
use crate::core_block::idle_of;
use crate::irqchip::IrqChip;
use crate::memory;
use crate::registers::{self, flush_current_vmid, isb};
use crate::timer::Clock;
use crate::{console, guest};
use aarch64_cpu::registers::{CPTR_EL2, ELR_EL2, SP_EL0, SPSR_EL2, VTTBR_EL2, Writeable};
use core::ptr;
use parzelle_abi::aarch64::{Frame, GuestExit};
use parzelle_abi::call::Error;
use parzelle_abi::vcpu_page::{FRAME, VcpuHead};
use parzelle_core::machine::{Halt, Machine, Upcall};
use parzelle_plan::{AccessRecord, VcpuRecord};

/// What a guest's exit tells beside its reason, taken from the processor when it happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exit {
    pub(crate) syndrome: u64,
    pub(crate) address: u64,
    pub(crate) ipa: u64,
}

/// A processor core and what it drives.
pub(crate) struct Processor {
    /// The frame that the exit loads (and the entry saved to): the current context's.
    pub(crate) frame: *mut Frame,
    /// The current vCPU's context; before the first one, the idle one.
    pub(crate) context: *mut Context,
    pub(crate) clock: Clock,
    pub(crate) chip: IrqChip,
    pub(crate) features: control::Features,
    pub(crate) exit: Exit,
    /// CPTR_EL2 as it is loaded.
    cptr: u64,
    /// See [`Machine::longest_masked`].
    #[cfg(feature = "measure")]
    pub(crate) longest: u64,
}

impl Processor {
    /// Core `number`, for [`crate::core_block::Core::prepare`]: no vCPU is current yet.
    pub(crate) fn new(number: usize, clock: Clock, chip: IrqChip) -> Processor {
        Processor {
            frame: ptr::null_mut(),
            context: idle_of(number),
            clock,
            chip,
            features: control::Features::read(),
            exit: Exit::default(),
            cptr: control::CPTR_FP,
            #[cfg(feature = "measure")]
            longest: 0,
        }
    }

    /// The current vCPU's context.
    pub(crate) fn context(&mut self) -> &mut Context {
        // SAFETY: the idle one of this core, or the context page of a vCPU of this core (`switch`), which
        // EL2 maps and nobody else uses; the reference ends before the processor is used again.
        unsafe { &mut *self.context }
    }

    /// Lets FP/SIMD instructions below EL2 pass or trap.
    #[inline(always)]
    pub(crate) fn allow_fp(&mut self, allowed: bool) {
        let wanted = if allowed { CPTR_FP } else { CPTR_TRAP };
        if self.cptr != wanted {
            self.cptr = wanted;
            CPTR_EL2.set(wanted);
        }
    }

    /// Lets the kernel itself move FP/SIMD registers: CPTR_EL2.TFP traps at EL2 as well. What the
    /// next context may is up to a later [`Processor::allow_fp`].
    #[inline(always)]
    pub(crate) fn open_fp(&mut self) {
        if self.cptr != CPTR_FP {
            self.allow_fp(true);
            isb();
        }
    }

    /// Goes on with this frame, of the context that `flags` say.
    #[inline(always)]
    pub(crate) fn return_to(&mut self, frame: *mut Frame, flags: u64) {
        self.frame = frame;
        self.allow_fp(owns_fp(flags));
    }

    /// Leaves the current vCPU: its state goes to memory.
    #[inline(always)]
    fn leave(&mut self) {
        let context = self.context();
        if context.flags & GUEST != 0 {
            guest::unload(self);
        } else {
            context::save_rest(&mut context.frame);
        }
        self.move_fp(|area| area.save());
    }

    /// Makes a vCPU current.
    #[inline(always)]
    fn enter(&mut self, to: &VcpuRecord) {
        self.context = to.context as *mut Context;
        let context = self.context();
        let (flags, frame) = (context.flags, &raw mut context.frame);
        VTTBR_EL2.set(context.vttbr);
        context::load_rest(&context.frame, context.frame.pstate);
        if flags & SHARED_VMID != 0 {
            flush_current_vmid();
        }
        self.move_fp(|area| area.load());
        if flags & GUEST != 0 {
            return guest::load(self);
        }
        self.return_to(frame, flags & FP);
    }

    /// Saves or loads the current vCPU's FP/SIMD registers, if it has any.
    #[inline(always)]
    fn move_fp(&mut self, how: fn(&mut FpArea)) {
        if self.context().flags & (FP | FP_IS_GUESTS) != 0 {
            self.open_fp();
            how(self.context().fp_area());
        }
    }
}

/// Writes fields of the head of a vCPU page.
macro_rules! write_head {
    ($page:expr, $($field:ident: $value:expr),+) => {
        $(memory::write_word($page + core::mem::offset_of!(VcpuHead, $field) as u64, $value);)+
    };
}

impl Machine for Processor {
    fn now(&mut self) -> u64 {
        self.clock.now()
    }

    fn arm(&mut self, at: u64) {
        self.clock.arm(at);
    }

    fn kick(&mut self, core: u32) {
        self.chip.kick(core);
    }

    #[inline]
    fn switch(&mut self, _number: u32, to: &VcpuRecord) {
        self.leave();
        self.enter(to);
    }

    fn start(&mut self, entry: u64, stack: u64, arguments: [u64; 2], head: &VcpuHead) {
        if self.in_guest() {
            guest::leave(self, None);
        }
        let Clock { frequency, zero, scale, .. } = self.clock;
        let page = self.context().page;
        // Head and frame; what lies behind is between the shim and its guest.
        memory::zero(page, parzelle_abi::vcpu_page::GUEST);
        memory::write(page, zerocopy::IntoBytes::as_bytes(head));
        write_head!(page, counter_frequency: frequency, counter_zero: zero, counter_scale: scale);
        memory::zero(self.context as u64, FRAME_ROOM as u64);
        let context = self.context();
        context.frame.sp = stack;
        context.frame.pc = entry;
        [context.frame.x[0], context.frame.x[1]] = arguments;
        context::load_rest(&context.frame, 0);
        let flags = context.flags;
        if flags & (FP | GUEST) != 0 {
            context.flags &= !FP_IS_GUESTS;
            self.open_fp();
            FpArea::ZERO.load();
            self.allow_fp(flags & FP != 0);
        }
        guest::forget(self);
    }

    #[inline(always)]
    fn set_result(&mut self, status: u64, value: u64) {
        let frame = &mut self.context().frame;
        [frame.x[0], frame.x[1]] = [status, value];
    }

    fn upcalls_masked(&mut self) -> bool {
        memory::read_word(self.context().page + core::mem::offset_of!(VcpuHead, masked) as u64) != 0
    }

    fn enter_upcall(&mut self, upcall: &Upcall, keep_frame: bool) {
        let Context { frame, page, .. } = self.context();
        let page = *page;
        if !keep_frame {
            context::save_rest(frame);
            memory::copy_frame(page + FRAME, ptr::from_ref(frame) as u64);
        }
        [frame.x[0], frame.x[1]] = [upcall.reason as u64, upcall.events];
        SP_EL0.set(upcall.stack);
        ELR_EL2.set(upcall.entry);
        SPSR_EL2.set(0);
        write_head!(page, masked: 1, reason: upcall.reason as u64, events: upcall.events);
        if let Some(fault) = upcall.fault {
            write_head!(page, error: fault.error as u64, syndrome: fault.syndrome, address: fault.address);
        }
    }

    fn resume_frame(&mut self) {
        let Context { frame, page, .. } = self.context();
        let page = *page;
        memory::copy_frame(ptr::from_mut(frame) as u64, page + FRAME);
        frame.pstate = host_pstate(frame.pstate);
        context::load_rest(frame, frame.pstate);
        write_head!(page, masked: 0);
    }

    fn set_window_start(&mut self, start: u64) {
        write_head!(self.context().page, window_start: start);
    }

    fn in_guest(&self) -> bool {
        // SAFETY: as in `context`.
        unsafe { (*self.context).flags & IN_GUEST != 0 }
    }

    fn enter_guest(&mut self) -> Result<(), Error> {
        guest::enter(self)
    }

    fn leave_guest(&mut self, exit: GuestExit) {
        if self.in_guest() {
            guest::leave(self, Some(exit));
        }
    }

    fn copy(&mut self, to: u64, from: u64, bytes: u32) {
        memory::copy(to, from, u64::from(bytes));
    }

    fn write(&mut self, to: u64, bytes: &[u8]) {
        memory::write(to, bytes);
    }

    fn mask_line(&mut self, line: u32) {
        self.chip.mask(line);
    }

    fn unmask_line(&mut self, line: u32) {
        self.chip.unmask(line);
    }

    fn flush(&mut self) {
        registers::flush_caches();
    }

    fn quiesce(&mut self, access: &AccessRecord) {
        memory::quiesce(access);
    }

    #[cfg(feature = "measure")]
    fn longest_masked(&self) -> u64 {
        self.longest
    }

    fn halt(&mut self, how: Halt) {
        if how == Halt::Fail {
            console::print(format_args!("parzelle: module failed\n"));
        }
        console::halt(how)
    }
}
