// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Starting cores: the others wake up one after the other, then all begin at the same time.

use crate::boot::{Refusal, System, symbol};
use crate::descriptors::{Gate, Gdt, STAR, TASK, TablePointer};
use crate::instructions as cpu;
use crate::irqchip::{INIT, STARTUP};
use crate::layout::{PAGE, TRAMPOLINE, common};
use crate::machine::{Core, Module};
use crate::percore::PerCore;
use crate::registers::{apic_base, cr0, efer, flags, msr};
use crate::trap::gates;
use core::mem::size_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Release};
use parzelle_abi::NEVER;

/// Nanoseconds between INIT and the first start-up message (SDM Vol. 3A, §9.4.4.1).
const AFTER_INIT: u64 = 10_000_000;
/// Nanoseconds between the two start-up messages.
const AFTER_START: u64 = 200_000;
/// Nanoseconds that a core may take to say that it is there.
const PATIENCE: u64 = 1_000_000_000;
/// Nanoseconds from "all are there" to the first window.
const TO_EPOCH: u64 = 1_000_000;

/// Cores that are there.
static AWAKE: AtomicU32 = AtomicU32::new(0);
/// When time begins; [`NEVER`] until all are there.
static EPOCH: AtomicU64 = AtomicU64::new(NEVER);

fn silent(core: u32) -> Refusal {
    Refusal::Differs("cores that answer", u64::from(core) + 1, u64::from(core))
}

fn wait(module: &Module, nanoseconds: u64, done: impl Fn() -> bool) -> bool {
    let end = module.timer.clock.now().saturating_add(nanoseconds);
    while !done() {
        if module.timer.clock.now() >= end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

/// Wakes all cores but the one that runs this, and sets up this one. Afterwards the boot root is
/// gone.
///
/// # Errors
/// A core that doesn't answer.
pub(crate) fn wake(System { module, own, others }: System) -> Result<(), Refusal> {
    quiet_pic();
    let local = module.timer.local;
    for (index, &block) in others.iter().enumerate() {
        let core = index as u32 + 1;
        let apic = *module.apics.get(core as usize).ok_or(silent(core))?;
        put_code(block);
        let there = || AWAKE.load(Acquire) == core;
        local.send(apic, INIT);
        wait(module, AFTER_INIT, || false);
        let start = STARTUP + (TRAMPOLINE / PAGE) as u32;
        local.send(apic, start);
        if !wait(module, AFTER_START, there) {
            local.send(apic, start);
        }
        if !wait(module, PATIENCE, there) {
            return Err(silent(core));
        }
    }
    set_up(module, own);
    // Nobody is on the boot root any more: what it mapped is forgotten.
    let tables = symbol::root();
    let words = (symbol::tables_end() - tables) / 8;
    // SAFETY: the tables lie in the kernel's data, which its own root maps; nobody refers to them.
    unsafe { cpu::zero(tables as *mut u64, words as usize) };
    Ok(())
}

/// The old interrupt controllers stay silent.
fn quiet_pic() {
    for port in [0x21, 0xa1] {
        // SAFETY: the mask registers of the two 8259A; all lines masked.
        unsafe { cpu::out8(port, 0xff) };
    }
}

/// Copies the trampoline to where cores wake up, for the core with that block.
fn put_code(block: u64) {
    let [code, word, end] = [symbol::trampoline(), symbol::trampoline_block(), symbol::trampoline_end()];
    let to = common(TRAMPOLINE);
    // SAFETY: the boot root maps the page; plan and firmware leave it free, and no core runs there now.
    unsafe { cpu::copy(to as *mut u8, code as *const u8, (end - code) as usize) };
    // SAFETY: a word of that code, at a multiple of 8.
    unsafe { ((to + (word - code)) as *mut u64).write_volatile(block) };
}

/// Another core's first Rust: `block` is its block.
///
/// # Safety
/// Only for the trampoline.
#[unsafe(no_mangle)]
unsafe extern "C" fn parzelle_secondary(block: u64) -> ! {
    // SAFETY: the trampoline has this core's block, and asks once.
    let core = unsafe { state(block) };
    set_up(core.machine.module, block);
    AWAKE.fetch_add(1, Release);
    run(core)
}

/// Agrees with the others on when time begins, and begins.
pub(crate) fn begin(system: System) -> ! {
    EPOCH.store(system.module.timer.clock.now() + TO_EPOCH, Release);
    // SAFETY: this core's block, asked for once.
    run(unsafe { state(system.own) })
}

/// The state of the core with that block.
///
/// # Safety
/// The core that runs this is that core; until it first leaves the kernel, it asks only once.
unsafe fn state(block: u64) -> &'static mut Core {
    // SAFETY: the block has settled; the field was written before the core was woken.
    let core = unsafe { (*(block as *const PerCore)).core } as *mut Core;
    // SAFETY: this core's state, which only this core uses; interrupts are masked.
    unsafe { &mut *core }
}

/// Waits for the epoch to be known, starts the core's state and leaves for its first vCPU.
fn run(core: &mut Core) -> ! {
    let epoch = loop {
        match EPOCH.load(Acquire) {
            NEVER => core::hint::spin_loop(),
            epoch => break epoch,
        }
    };
    core.start(epoch);
    // What is measured begins with the first entry.
    core.machine.begin();
    let context = crate::trap::exit(core);
    // SAFETY: GS is this core's block.
    unsafe { cpu::leave(context as u64) };
    cpu::stop()
}

/// Gives this core its registers: root, descriptor tables, control and model-specific registers,
/// local APIC.
fn set_up(module: &'static Module, block: u64) {
    // SAFETY: the kernel's root maps all that this code uses: image, arena, both APICs.
    unsafe { cpu::write_cr3(module.none.root) };
    // SAFETY: bits that CPUID tells of.
    unsafe { cpu::write_cr4(module.features.cr4) };
    // SAFETY: what the kernel runs with; no vCPU with FP registers is current.
    unsafe { cpu::write_cr0(cr0::KERNEL | cr0::TS) };
    // SAFETY: no breakpoints.
    unsafe { cpu::write_dr7(0x400) };
    load_tables(block);
    // SAFETY: bases are written below.
    unsafe { cpu::null_segments() };
    let enabled = efer::SCE | efer::LME | efer::LMA | efer::NXE;
    for (register, value) in [
        (msr::EFER, enabled),
        (msr::STAR, STAR),
        (msr::LSTAR, symbol::entry_call()),
        (msr::CSTAR, symbol::entry_compat()),
        (msr::FMASK, flags::SYSCALL_MASK),
        (msr::SYSENTER_CS, 0),
        (msr::FS_BASE, 0),
        (msr::GS_BASE, block),
        (msr::KERNEL_GS_BASE, 0),
    ] {
        // SAFETY: every x86-64 processor has them (SDM Vol. 4, table 2-2); the values are ours.
        unsafe { cpu::write_msr(register, value) };
    }
    // SAFETY: there is an APIC, says CPUID.
    let base = unsafe { cpu::read_msr(msr::APIC_BASE) };
    // SAFETY: switches it on where it is.
    unsafe { cpu::write_msr(msr::APIC_BASE, base | apic_base::ENABLE) };
    module.timer.local.begin(module.timer.deadline);
}

fn load_tables(block: u64) {
    let gates = gates(symbol::stubs());
    let idt = TablePointer { limit: (size_of::<[Gate; 256]>() - 1) as u16, base: gates.as_ptr() as u64 };
    let gdt =
        TablePointer { limit: (size_of::<Gdt>() - 1) as u16, base: block + core::mem::offset_of!(PerCore, gdt) as u64 };
    // SAFETY: the block has settled, the gates lead to the stubs; both stay for ever. The code and
    // stack selectors that are loaded mean the same in this table as in boot's.
    unsafe { cpu::load_tables(&gdt, &idt, TASK) };
}
