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
//!                 TPIDRRO, CNTV_CTL
//!                 HCR VTTBR CPTR            derived
//!                 list registers            composed from and folded back into the page
//!   at a switch   all that and [`System`],  second context page
//!                 VMCR, active priorities
//! ```
//! What lies in the page is the partition's: the kernel sanitises PSTATE whenever it takes it from
//! there, and nothing of its own is in it. Between flips the guest's other EL1 registers stay
//! loaded; with TGE = 1 they don't touch the shim. FP/SIMD registers are swapped only when the other
//! context touches them.

use crate::context::{self, Context, FP, FP_IS_GUESTS, FpArea, IN_GUEST, SHARED_VMID, guest_pstate};
use crate::control::{self, CPACR_HOST, HCR_HOST, SCTLR_RESET};
use crate::irqchip::IrqChip;
use crate::machine::{Exit, Processor};
use crate::memory::{read_word, write_word};
use crate::registers::flush_current_vmid;
use crate::system::System;
use crate::virtual_interrupt::{self, Virtual};
use aarch64_cpu::registers::{
    CNTKCTL_EL1, CNTV_CTL_EL0, CNTV_CVAL_EL0, CPACR_EL1, ELR_EL2, HCR_EL2, Readable, SCTLR_EL1, SP_EL0, SPSR_EL2,
    TCR_EL1, TPIDR_EL0, TPIDRRO_EL0, TTBR0_EL1, TTBR1_EL1, VMPIDR_EL2, VTTBR_EL2, Writeable,
};
use core::mem::offset_of;
use parzelle_abi::aarch64::{Frame, Guest, GuestExit, LIST_REGISTERS, VirtualInterrupt};
use parzelle_abi::call::Error;
use parzelle_abi::vcpu_page::GUEST as PAGE_GUEST;

/// Registers that act on EL0 under TGE = 1 as well, so each side has its own.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Flip {
    sctlr: u64,
    cpacr: u64,
    cntkctl: u64,
    tpidrro: u64,
    timer_control: u64,
}

/// The second context page.
#[repr(C)]
pub(crate) struct GuestContext {
    /// VTTBR_EL2 of the guest's space.
    pub(crate) vttbr: u64,
    hcr: u64,
    mpidr: u64,
    /// Bit n: list register n was loaded.
    used: u64,
    flip: Flip,
    system: System,
    interface: Virtual,
    fp: FpArea,
}

const _: () = assert!(size_of::<GuestContext>() <= 4096);

/// PSTATE of a processor that was just reset: EL1h, all interrupts masked.
const PSTATE_RESET: u64 = 0x3c5;

/// The current vCPU's guest context, when it has one.
#[inline(always)]
fn guest(processor: &mut Processor) -> Option<&mut GuestContext> {
    let address = processor.context()?.guest;
    // SAFETY: 0, or the second context page of a vCPU of this core, which EL2 maps and nobody else
    // uses (set once, in `space.rs`); the reference ends before the processor is used again.
    unsafe { (address as *mut GuestContext).as_mut() }
}

/// The address of a field of [`Guest`] in the current vCPU's page.
macro_rules! in_page {
    ($processor:expr, $field:ident) => {
        $processor.page(PAGE_GUEST + offset_of!(Guest, $field) as u64)
    };
}

/// Gives a guest context its space; it is that of a processor that was just reset.
///
/// # Safety
/// `page` is the second context page of a vCPU that does not run yet.
pub(crate) unsafe fn init(page: u64, vttbr: u64) {
    let fresh = GuestContext { vttbr, ..GuestContext::reset(0) };
    // SAFETY: the caller's promise.
    unsafe { (page as *mut GuestContext).write(fresh) };
}

impl GuestContext {
    /// The state after a reset, for a space.
    const fn reset(vttbr: u64) -> GuestContext {
        GuestContext {
            vttbr,
            hcr: 0,
            mpidr: 1 << 31,
            used: 0,
            flip: Flip { sctlr: SCTLR_RESET, cpacr: 0, cntkctl: 0, tpidrro: 0, timer_control: 0 },
            system: System::zero(),
            interface: Virtual { control: 0, active: [0; 2], lists: [0; LIST_REGISTERS] },
            fp: FpArea::zero(),
        }
    }
}

/// Makes the current vCPU's guest context that of a processor that was just reset.
pub(crate) fn forget(processor: &mut Processor) {
    let mpidr = read_word(in_page!(processor, mpidr)) | 1 << 31;
    let (chip, pauth) = (processor.chip, processor.features.pauth);
    let Some(guest) = guest(processor) else { return };
    *guest = GuestContext { mpidr, ..GuestContext::reset(guest.vttbr) };
    guest.system.load(pauth);
    chip.load_virtual(&guest.interface);
    // `used` is 0 from now on, so nobody would empty them later.
    for index in 0..chip.lists().min(LIST_REGISTERS) {
        chip.set_list(index, 0);
    }
    VMPIDR_EL2.set(mpidr);
    if let Some(context) = processor.context() {
        context.flags &= !FP_IS_GUESTS;
    }
    write_word(in_page!(processor, reset), 1);
}

/// The guest's part of the current vCPU's page.
#[derive(Clone, Copy)]
struct Page(u64);

impl Page {
    #[inline(always)]
    fn get(self, offset: usize) -> u64 {
        read_word(self.0 + offset as u64)
    }

    #[inline(always)]
    fn set(self, offset: usize, value: u64) {
        write_word(self.0 + offset as u64, value);
    }
}

/// Offsets in [`Page`].
mod at {
    use super::{Frame, Guest, VirtualInterrupt, offset_of};

    pub(super) const SP: usize = offset_of!(Guest, frame) + offset_of!(Frame, sp);
    pub(super) const PC: usize = offset_of!(Guest, frame) + offset_of!(Frame, pc);
    pub(super) const PSTATE: usize = offset_of!(Guest, frame) + offset_of!(Frame, pstate);
    pub(super) const TLS: usize = offset_of!(Guest, frame) + offset_of!(Frame, tls);
    pub(super) const TRANSLATION: usize = offset_of!(Guest, translation);

    /// Entry `index` of the list of interrupts.
    #[inline(always)]
    pub(super) const fn list(index: usize) -> usize {
        offset_of!(Guest, interrupts) + index * size_of::<VirtualInterrupt>()
    }
}

/// The current vCPU's contexts and page, found once: a flip touches them all the time.
#[inline(always)]
fn parts<'a>(processor: &Processor) -> Option<(&'a mut Context, &'a mut GuestContext, Page)> {
    // SAFETY: as in `Processor::context`. The callers make no other reference to the context while
    // they have this one, and don't keep it.
    let context = unsafe { processor.context.as_mut() }?;
    // SAFETY: as in `guest`; likewise.
    let guest = unsafe { (context.guest as *mut GuestContext).as_mut() }?;
    let page = Page(context.page + PAGE_GUEST);
    Some((context, guest, page))
}

/// Flips to the guest.
pub(crate) fn enter(processor: &mut Processor) -> Result<(), Error> {
    if guest(processor).is_none() {
        return Err(Error::NotSupported);
    }
    if read_word(in_page!(processor, reset)) == 1 {
        forget(processor);
        write_word(in_page!(processor, reset), 0);
        let address = in_page!(processor, frame) + offset_of!(Frame, pstate) as u64;
        write_word(address, PSTATE_RESET);
    }
    let (features, chip) = (processor.features, processor.chip);
    let Some((context, guest, page)) = parts(processor) else {
        return Err(Error::NotSupported);
    };
    let exits_on_wait = page.get(offset_of!(Guest, traps)) & 1 != 0;
    guest.hcr = features.hcr_guest | if exits_on_wait { control::TWI } else { 0 };
    guest.used = compose(chip, page, guest.used);
    context::save_rest(&mut context.frame);
    context.flags |= IN_GUEST;
    load_flip(processor);
    Ok(())
}

/// Flips to the host. `exit`: what to tell the shim, or nothing when the vCPU starts anew.
pub(crate) fn leave(processor: &mut Processor, exit: Option<GuestExit>) {
    save_flip(processor);
    let (chip, told) = (processor.chip, processor.exit);
    let Some((context, guest, page)) = parts(processor) else { return };
    context.flags &= !IN_GUEST;
    VTTBR_EL2.set(context.vttbr);
    context::load_rest(&context.frame, context.frame.pstate);
    let flags = context.flags;
    processor.frame = &raw mut context.frame;
    if flags & SHARED_VMID != 0 {
        flush_current_vmid();
    }
    processor.allow_fp(flags & FP != 0 && flags & FP_IS_GUESTS == 0);
    let Some(reason) = exit else { return };
    if guest.used != 0 {
        fold(chip, page, guest.used);
    }
    // Only this exit's, not what another vCPU left behind.
    let told = if reason == GuestExit::Sync { told } else { Exit::default() };
    page.set(offset_of!(Guest, exit), reason as u64);
    page.set(offset_of!(Guest, syndrome), told.syndrome);
    page.set(offset_of!(Guest, address), told.address);
    page.set(offset_of!(Guest, ipa), told.ipa);
    page.set(offset_of!(Guest, timer_control), guest.flip.timer_control);
    page.set(offset_of!(Guest, timer_compare), CNTV_CVAL_EL0.get());
    page.set(at::TRANSLATION, TCR_EL1.get());
    page.set(at::TRANSLATION + 8, TTBR0_EL1.get());
    page.set(at::TRANSLATION + 16, TTBR1_EL1.get());
}

/// Loads what a flip to the guest loads; the list registers are loaded already.
#[inline]
fn load_flip(processor: &mut Processor) {
    let (aarch32, chip) = (processor.features.aarch32, processor.chip);
    let Some((context, guest, page)) = parts(processor) else { return };
    SP_EL0.set(page.get(at::SP));
    ELR_EL2.set(page.get(at::PC));
    SPSR_EL2.set(guest_pstate(page.get(at::PSTATE), aarch32));
    TPIDR_EL0.set(page.get(at::TLS));
    SCTLR_EL1.set(guest.flip.sctlr);
    CPACR_EL1.set(guest.flip.cpacr);
    CNTKCTL_EL1.set(guest.flip.cntkctl);
    TPIDRRO_EL0.set(guest.flip.tpidrro);
    VTTBR_EL2.set(guest.vttbr);
    HCR_EL2.set(guest.hcr);
    CNTV_CTL_EL0.set(guest.flip.timer_control);
    chip.virtual_enable(true);
    if context.flags & SHARED_VMID != 0 {
        flush_current_vmid();
    }
    processor.frame = (page.0 + offset_of!(Guest, frame) as u64) as *mut Frame;
    processor.allow_fp(context.flags & FP_IS_GUESTS != 0);
}

/// Saves what a flip to the host saves, and loads the host's constants.
#[inline]
fn save_flip(processor: &mut Processor) {
    let chip = processor.chip;
    let Some((_, guest, page)) = parts(processor) else { return };
    guest.flip = Flip {
        sctlr: SCTLR_EL1.get(),
        cpacr: CPACR_EL1.get(),
        cntkctl: CNTKCTL_EL1.get(),
        tpidrro: TPIDRRO_EL0.get(),
        timer_control: CNTV_CTL_EL0.get() & 3,
    };
    CNTV_CTL_EL0.set(0);
    chip.virtual_enable(false);
    control::host_el1();
    HCR_EL2.set(HCR_HOST);
    page.set(at::SP, SP_EL0.get());
    page.set(at::PC, ELR_EL2.get());
    page.set(at::PSTATE, SPSR_EL2.get());
    page.set(at::TLS, TPIDR_EL0.get());
}

/// Loads the list registers from the page, of which those in `before` may be loaded; returns which
/// are in use.
#[inline]
fn compose(chip: IrqChip, page: Page, before: u64) -> u64 {
    let words: [u64; LIST_REGISTERS] = core::array::from_fn(|index| page.get(at::list(index)));
    // Not `==`: that would be a call of memcmp, four times as long as all the rest.
    if words.iter().fold(before, |any, word| any | word) == 0 {
        return 0;
    }
    let lists = chip.lists().min(LIST_REGISTERS);
    let entries = words.map(|word| -> VirtualInterrupt { zerocopy::transmute!(word) });
    // When all are taken, the shim wants to know of the first that becomes free.
    let full = entries.iter().take(lists).all(|entry| entry.state & 3 != 0);
    let mut used = 0;
    for (index, entry) in entries.iter().enumerate().take(lists) {
        let value = if chip.is_v2() {
            virtual_interrupt::compose_v2(*entry, full)
        } else {
            virtual_interrupt::compose_v3(*entry, full)
        };
        if value != 0 || before >> index & 1 != 0 {
            chip.set_list(index, value);
        }
        used |= u64::from(value != 0) << index;
    }
    used
}

/// Writes back to the page what the guest has done to its interrupts.
#[inline]
fn fold(chip: IrqChip, page: Page, used: u64) {
    for index in 0..LIST_REGISTERS {
        if used >> index & 1 != 0 {
            let state = virtual_interrupt::state(chip.list(index), chip.is_v2());
            let entry: VirtualInterrupt = zerocopy::transmute!(page.get(at::list(index)));
            let folded = VirtualInterrupt { state, ..entry };
            page.set(at::list(index), zerocopy::transmute!(folded));
        }
    }
}

/// The current vCPU is left: everything of the guest's goes to memory.
pub(crate) fn unload(processor: &mut Processor) {
    let flags = processor.context().map_or(0, |context| context.flags);
    if flags & IN_GUEST != 0 {
        save_flip(processor);
    } else if let Some(context) = processor.context() {
        context::save_rest(&mut context.frame);
    }
    let (chip, pauth) = (processor.chip, processor.features.pauth);
    if flags & (FP | FP_IS_GUESTS) != 0 {
        processor.open_fp();
    }
    if let Some(guest) = guest(processor) {
        guest.system.save(pauth);
        chip.save_virtual(&mut guest.interface);
        if flags & IN_GUEST != 0 {
            for (index, list) in guest.interface.lists.iter_mut().enumerate().take(chip.lists()) {
                *list = chip.list(index);
            }
        }
        if flags & FP_IS_GUESTS != 0 {
            guest.fp.save();
        }
    }
    if flags & FP != 0
        && flags & FP_IS_GUESTS == 0
        && let Some(context) = processor.context()
    {
        context.fp.save();
    }
}

/// The vCPU has become current; its host context is loaded but for FP.
pub(crate) fn load(processor: &mut Processor) {
    let (chip, pauth) = (processor.chip, processor.features.pauth);
    let flags = processor.context().map_or(0, |context| context.flags);
    if flags & (FP | FP_IS_GUESTS) != 0 {
        processor.open_fp();
    }
    if let Some(guest) = guest(processor) {
        guest.system.load(pauth);
        chip.load_virtual(&guest.interface);
        VMPIDR_EL2.set(guest.mpidr);
        for (index, list) in guest.interface.lists.iter().enumerate().take(chip.lists()) {
            chip.set_list(index, if flags & IN_GUEST != 0 { *list } else { 0 });
        }
        if flags & FP_IS_GUESTS != 0 {
            guest.fp.load();
        }
    }
    if flags & FP != 0
        && flags & FP_IS_GUESTS == 0
        && let Some(context) = processor.context()
    {
        context.fp.load();
    }
    if flags & IN_GUEST != 0 {
        load_flip(processor);
    } else {
        if let Some(frame) = processor.context().map(|context| &raw mut context.frame) {
            processor.frame = frame;
        }
        processor.allow_fp(flags & FP != 0 && flags & FP_IS_GUESTS == 0);
    }
}

/// FP/SIMD was touched by the context that doesn't have the registers: swaps them. False when that
/// context may not use them at all.
pub(crate) fn swap_fp(processor: &mut Processor) -> bool {
    let flags = processor.context().map_or(0, |context| context.flags);
    let wanted = flags & IN_GUEST != 0;
    if flags & context::GUEST == 0 || wanted == (flags & FP_IS_GUESTS != 0) {
        return false;
    }
    if !wanted && flags & FP == 0 {
        return false;
    }
    processor.open_fp();
    if wanted {
        if flags & FP != 0
            && let Some(context) = processor.context()
        {
            context.fp.save();
        }
        if let Some(guest) = guest(processor) {
            guest.fp.load();
        }
    } else {
        if let Some(guest) = guest(processor) {
            guest.fp.save();
        }
        if let Some(context) = processor.context() {
            context.fp.load();
        }
    }
    if let Some(context) = processor.context() {
        context.flags ^= FP_IS_GUESTS;
    }
    true
}

const _: () = assert!(CPACR_HOST == 3 << 20);
