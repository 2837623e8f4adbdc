// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest context of a vCPU: EL1 and EL0 under the guest's stage 2.
//!
//! ```text
//!                     enter                     (vcpu_run)
//!      host context ─────────►  guest context
//!        (shim)     ◄─────────
//!                     leave                     (exit)
//!
//!   at a flip     general registers         in the vCPU page (Guest::frame), straight from trap.S
//!                 SCTLR CPACR CNTKCTL       host: constants; guest: [`Flip`]
//!                 CNTV_CTL
//!                 MDSCR                     host: 0; guest: the shim's word (`debug.rs`)
//!                 HCR VTTBR CPTR            derived
//!                 list registers            composed from and folded back into the page
//!   at a switch   all that and [`System`],  second context page
//!                 VMCR, active priorities
//! ```
//! What lies in the page is the partition's: the kernel sanitises PSTATE whenever it takes it from
//! there, and nothing of its own is in it. Between flips the guest's other EL1 registers stay
//! loaded; with TGE = 1 they don't touch the shim (which may read its guest's TPIDRRO). FP/SIMD registers are swapped only when the other
//! context touches them.

use crate::context::{
    self, Context, FP, FP_IS_GUESTS, FpArea, GUEST, IN_GUEST, SHARED_VMID, SIBLINGS, guest_pstate, owns_fp,
};
use crate::control::{self, HCR_HOST, SCTLR_RESET};
use crate::debug;
use crate::irqchip::IrqChip;
use crate::machine::{Exit, Processor};
use crate::memory::{read_word, write_word};
use crate::registers::flush_current_vmid;
use crate::syndrome;
use crate::system::{Flip, Keys, System};
use crate::virtual_interrupt::{self, Virtual};
use aarch64_cpu::registers::*;
use core::mem::offset_of;
use parzelle_abi::aarch64::{Frame, Guest, GuestExit, LIST_REGISTERS, VirtualInterrupt};
use parzelle_abi::call::Error;
use parzelle_abi::vcpu_page::GUEST as PAGE_GUEST;

/// The second context page.
#[repr(C)]
pub(crate) struct GuestContext {
    /// VTTBR_EL2 of the guest's space.
    pub(crate) vttbr: u64,
    hcr: u64,
    mpidr: u64,
    /// Bit n: list register n was loaded.
    used: u64,
    /// MDSCR_EL1 as it is loaded for the guest.
    debug: u64,
    flip: Flip,
    system: System,
    keys: Keys,
    interface: Virtual,
    pub(crate) fp: FpArea,
}

const _: () = assert!(size_of::<GuestContext>() <= 4096);

/// PSTATE of a processor that was just reset: EL1h, all interrupts masked.
const PSTATE_RESET: u64 = 0x3c5;

impl GuestContext {
    /// The state after a reset, for a space.
    pub(crate) const fn reset(vttbr: u64) -> GuestContext {
        GuestContext {
            vttbr,
            hcr: 0,
            mpidr: 1 << 31,
            used: 0,
            debug: 0,
            flip: Flip { sctlr: SCTLR_RESET, ..Flip::ZERO },
            system: System::ZERO,
            keys: Keys::ZERO,
            interface: Virtual { control: 0, active: [0; 2], lists: [0; LIST_REGISTERS] },
            fp: FpArea::ZERO,
        }
    }
}

/// The guest's part of a vCPU page.
#[derive(Clone, Copy)]
struct Page(u64);

impl Page {
    fn get(self, offset: usize) -> u64 {
        read_word(self.0 + offset as u64)
    }

    fn set(self, offset: usize, value: u64) {
        write_word(self.0 + offset as u64, value);
    }
}

/// Where entry `index` of the list of interrupts is in [`Page`].
const fn list(index: usize) -> usize {
    offset_of!(Guest, interrupts) + index * size_of::<VirtualInterrupt>()
}

/// The current vCPU's contexts and page, found once: a flip touches them all the time.
struct Parts<'a> {
    context: &'a mut Context,
    guest: &'a mut GuestContext,
    page: Page,
}

/// The parts of the current vCPU, when it has a guest.
fn parts<'a>(processor: &Processor) -> Option<Parts<'a>> {
    // SAFETY: as in `Processor::context`. The callers make no other reference to the context while
    // they have this one, and don't keep it.
    let context = unsafe { &mut *processor.context };
    // SAFETY: 0, or the second context page of a vCPU of this core, which EL2 maps and nobody else
    // uses (set once, in `space.rs`); likewise.
    let guest = unsafe { (context.guest as *mut GuestContext).as_mut() }?;
    let page = Page(context.page + PAGE_GUEST);
    Some(Parts { context, guest, page })
}

/// Makes the current vCPU's guest context, if it has one, that of a processor that was just reset.
pub(crate) fn forget(processor: &mut Processor) {
    if let Some(parts) = &mut parts(processor) {
        parts.reset(processor);
        parts.page.set(offset_of!(Guest, reset), 1);
    }
}

/// Flips to the guest.
pub(crate) fn enter(processor: &mut Processor) -> Result<(), Error> {
    let parts = &mut parts(processor).ok_or(Error::NotSupported)?;
    if parts.page.get(offset_of!(Guest, reset)) == 1 {
        parts.reset(processor);
        parts.page.set(offset_of!(Guest, reset), 0);
        parts.page.set(offset_of!(Guest, frame.pstate), PSTATE_RESET);
    }
    let traps = parts.page.get(offset_of!(Guest, traps));
    if traps & 2 != 0 {
        parts.page.set(offset_of!(Guest, traps), traps & !2);
        parts.guest.flip.timer_control |= 2;
    }
    let exits_on_wait = traps & 1 != 0;
    parts.guest.hcr = processor.features.hcr_guest | if exits_on_wait { control::TWI } else { 0 };
    parts.compose(&processor.chip);
    context::save_rest(&mut parts.context.frame);
    parts.load_flip(processor);
    Ok(())
}

/// Flips to the host. `exit`: what to tell the shim, or nothing when the vCPU starts anew.
pub(crate) fn leave(processor: &mut Processor, exit: Option<GuestExit>) {
    let Some(parts) = &mut parts(processor) else { return };
    parts.save_flip(&processor.chip);
    let context = &mut *parts.context;
    let flags = context.flags & !IN_GUEST;
    context.flags = flags;
    VTTBR_EL2.set(context.vttbr);
    context::load_rest(&context.frame, context.frame.pstate);
    if flags & SHARED_VMID != 0 {
        flush_current_vmid();
    }
    processor.return_to(&raw mut context.frame, flags);
    let Some(reason) = exit else { return };
    parts.fold(&processor.chip);
    // Only this exit's, not what another vCPU left behind.
    let told = if reason == GuestExit::Sync { processor.exit } else { Exit::default() };
    let page = parts.page;
    page.set(offset_of!(Guest, exit), reason as u64);
    page.set(offset_of!(Guest, syndrome), told.syndrome);
    page.set(offset_of!(Guest, address), told.address);
    page.set(offset_of!(Guest, ipa), told.ipa);
    page.set(offset_of!(Guest, timer_control), parts.guest.flip.timer_control & 3);
    page.set(offset_of!(Guest, timer_compare), CNTV_CVAL_EL0.get());
    // Nobody walks the guest's tables for an access that the processor describes.
    if reason == GuestExit::Sync && !syndrome::is_described(told.syndrome) {
        page.set(offset_of!(Guest, translation), TCR_EL1.get());
        page.set(offset_of!(Guest, translation) + 8, TTBR0_EL1.get());
        page.set(offset_of!(Guest, translation) + 16, TTBR1_EL1.get());
    }
}

/// The current vCPU is left: everything of the guest's but FP goes to memory.
pub(crate) fn unload(processor: &mut Processor) {
    let Some(parts) = &mut parts(processor) else { return };
    if parts.context.flags & IN_GUEST != 0 {
        parts.save_flip(&processor.chip);
        for (index, list) in parts.guest.interface.lists.iter_mut().enumerate().take(processor.chip.lists) {
            *list = processor.chip.list(index);
        }
    } else {
        context::save_rest(&mut parts.context.frame);
    }
    parts.guest.system.save();
    if processor.features.pauth {
        parts.guest.keys.save();
    }
    processor.chip.save_virtual(&mut parts.guest.interface);
    // The one of `System` that EL0 of whoever is next could read.
    TPIDRRO_EL0.set(0);
}

/// The vCPU has become current; its host context and FP are loaded.
pub(crate) fn load(processor: &mut Processor) {
    let Some(parts) = &mut parts(processor) else { return };
    let in_guest = parts.context.flags & IN_GUEST != 0;
    parts.load_system(processor);
    // After that: with the last one's tables loaded, what is dropped could come back.
    if parts.context.flags & SIBLINGS != 0 {
        VTTBR_EL2.set(parts.guest.vttbr);
        flush_current_vmid();
        VTTBR_EL2.set(parts.context.vttbr);
    }
    for (index, list) in parts.guest.interface.lists.iter().enumerate().take(processor.chip.lists) {
        processor.chip.set_list(index, if in_guest { *list } else { 0 });
    }
    if in_guest {
        parts.load_flip(processor);
    } else {
        processor.return_to(&raw mut parts.context.frame, parts.context.flags);
    }
}

/// FP/SIMD was touched by the context that doesn't have the registers: swaps them. False when that
/// context may not use them at all.
pub(crate) fn swap_fp(processor: &mut Processor) -> bool {
    let flags = processor.context().flags;
    if flags & GUEST == 0 || owns_fp(flags) || flags & (FP | IN_GUEST) == 0 {
        return false;
    }
    processor.open_fp();
    let context = processor.context();
    context.fp_area().save();
    context.flags ^= FP_IS_GUESTS;
    context.fp_area().load();
    true
}

impl Parts<'_> {
    /// Makes the guest that of a processor that was just reset, here and in the registers.
    fn reset(&mut self, processor: &mut Processor) {
        let mpidr = self.page.get(offset_of!(Guest, mpidr)) | 1 << 31;
        *self.guest = GuestContext { mpidr, ..GuestContext::reset(self.guest.vttbr) };
        self.load_system(processor);
        // `used` is 0 from now on, so nobody would empty them later.
        for index in 0..processor.chip.lists.min(LIST_REGISTERS) {
            processor.chip.set_list(index, 0);
        }
        if self.context.flags & FP_IS_GUESTS != 0 {
            processor.open_fp();
            self.context.fp.load();
            self.context.flags &= !FP_IS_GUESTS;
        }
    }

    /// Loads what stays loaded while the vCPU is current.
    #[inline(always)]
    fn load_system(&self, processor: &Processor) {
        self.guest.system.load();
        if processor.features.pauth {
            self.guest.keys.load();
        }
        processor.chip.load_virtual(&self.guest.interface);
        VMPIDR_EL2.set(self.guest.mpidr);
    }

    /// Loads what a flip to the guest loads; the list registers are loaded already.
    #[inline(always)]
    fn load_flip(&mut self, processor: &mut Processor) {
        let (guest, page) = (&mut *self.guest, self.page);
        guest.debug = page.get(offset_of!(Guest, debug_control)) & debug::CONTROL;
        if guest.debug != 0 {
            debug::load(guest.debug, |index| page.get(offset_of!(Guest, debug) + 8 * index));
        }
        let flags = self.context.flags | IN_GUEST;
        self.context.flags = flags;
        SP_EL0.set(page.get(offset_of!(Guest, frame.sp)));
        ELR_EL2.set(page.get(offset_of!(Guest, frame.pc)));
        SPSR_EL2.set(guest_pstate(page.get(offset_of!(Guest, frame.pstate)), processor.features.aarch32));
        TPIDR_EL0.set(page.get(offset_of!(Guest, frame.tls)));
        guest.flip.load();
        VTTBR_EL2.set(guest.vttbr);
        HCR_EL2.set(guest.hcr);
        processor.chip.virtual_enable(true);
        if flags & SHARED_VMID != 0 {
            flush_current_vmid();
        }
        let frame = page.0 + offset_of!(Guest, frame) as u64;
        processor.return_to(frame as *mut Frame, flags);
    }

    /// Saves what a flip to the host saves, and loads the host's constants.
    #[inline(always)]
    fn save_flip(&mut self, chip: &IrqChip) {
        let page = self.page;
        self.guest.flip.save();
        if self.guest.debug != 0 {
            MDSCR_EL1.set(0);
        }
        CNTV_CTL_EL0.set(0);
        chip.virtual_enable(false);
        control::host_el1();
        HCR_EL2.set(HCR_HOST);
        page.set(offset_of!(Guest, frame.sp), SP_EL0.get());
        page.set(offset_of!(Guest, frame.pc), ELR_EL2.get());
        page.set(offset_of!(Guest, frame.pstate), SPSR_EL2.get());
        page.set(offset_of!(Guest, frame.tls), TPIDR_EL0.get());
    }

    /// Loads the list registers from the page.
    #[inline(always)]
    fn compose(&mut self, chip: &IrqChip) {
        let before = self.guest.used;
        let words: [u64; LIST_REGISTERS] = core::array::from_fn(|index| self.page.get(list(index)));
        self.guest.used = 0;
        // Not `==`: that would be a call of memcmp, four times as long as all the rest.
        if words.iter().fold(before, |any, word| any | word) == 0 {
            return;
        }
        let entries = words.map(|word| -> VirtualInterrupt { zerocopy::transmute!(word) });
        let lists = chip.lists.min(LIST_REGISTERS);
        // When all are taken, the shim wants to know of the first that becomes free.
        let full = entries.iter().take(lists).all(|entry| entry.state & 3 != 0);
        for (index, entry) in entries.iter().enumerate().take(lists) {
            let value = virtual_interrupt::compose(*entry, full, chip.v2);
            if value != 0 || before >> index & 1 != 0 {
                chip.set_list(index, value);
            }
            self.guest.used |= u64::from(value != 0) << index;
        }
    }

    /// Writes back to the page what the guest has done to its interrupts.
    #[inline(always)]
    fn fold(&self, chip: &IrqChip) {
        if self.guest.used == 0 {
            return;
        }
        for index in 0..LIST_REGISTERS {
            if self.guest.used >> index & 1 != 0 {
                let state = virtual_interrupt::state(chip.list(index), chip.v2);
                let entry: VirtualInterrupt = zerocopy::transmute!(self.page.get(list(index)));
                let folded = VirtualInterrupt { state, ..entry };
                self.page.set(list(index), zerocopy::transmute!(folded));
            }
        }
    }
}
