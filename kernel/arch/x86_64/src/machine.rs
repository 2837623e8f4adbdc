// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The processor as the kernel core sees it.

use crate::context::{Context, FP, FP_CLEAN, base};
use crate::instructions as cpu;
use crate::irqchip::{IoApic, Local, LocalTimer};
use crate::layout::private;
use crate::page::VcpuPage;
use crate::percore::PerCore;
use crate::ports::Ports;
use crate::power;
use crate::registers::{cr0, msr};
use crate::timer::{Clock, Rate};
use parzelle_abi::NEVER;
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::call::Error;
use parzelle_abi::vcpu_page::VcpuHead;
use parzelle_core::CoreState;
use parzelle_core::machine::{Halt, Machine, Upcall};
use parzelle_plan::{IoPortsRecord, QuiesceRecord};

/// A core's state on this architecture.
pub(crate) type Core = CoreState<Processor>;

/// Where a vCPU's things lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Its root (physical).
    pub(crate) root: u64,
    /// Its context, in the private window.
    pub(crate) context: u64,
    /// Its vCPU page, in the private window.
    pub(crate) page: u64,
    /// It has FP and SIMD registers.
    pub(crate) fp: bool,
    /// Its partition's I/O ports.
    pub(crate) ports: &'static [IoPortsRecord],
}

/// What all cores share, made at boot and never changed.
pub(crate) struct Module {
    /// The vCPUs, as in the plan.
    pub(crate) slots: &'static [Slot],
    /// The root without a partition.
    pub(crate) root: u64,
    /// The clock.
    pub(crate) clock: Clock,
    /// Which timer the local APIC has.
    pub(crate) timer: LocalTimer,
    /// The timer's rate.
    pub(crate) rate: Rate,
    /// The local APIC of whoever asks.
    pub(crate) local: Local,
    /// The IO-APIC.
    pub(crate) io: IoApic,
    /// The numbers of the cores' APICs.
    pub(crate) apics: &'static [u8],
    /// User mode can change the bases of FS and GS, and so can we, cheaply.
    pub(crate) fsgsbase: bool,
    /// CR4.
    pub(crate) cr4: u64,
}

/// A core.
pub(crate) struct Processor {
    module: &'static Module,
    block: &'static mut PerCore,
    /// The current vCPU's context, 0 if there is none; the entry has a copy in the block.
    context: u64,
    page: u64,
    root: u64,
    fp: bool,
    /// CR0.TS is set.
    fp_closed: bool,
    ports: Ports,
    apic: u8,
    /// What is armed.
    alarm: u64,
    #[cfg(feature = "measure")]
    measure: crate::measure::Measure,
}

impl Processor {
    /// Makes a core's processor. `block` has settled; the root of the module is loaded before
    /// anything is asked of it.
    pub(crate) fn new(module: &'static Module, block: &'static mut PerCore) -> Processor {
        let apic = module.apics.get(block.number as usize).copied();
        Processor {
            module,
            block,
            context: 0,
            page: 0,
            root: module.root,
            fp: false,
            fp_closed: true,
            ports: Ports::default(),
            apic: apic.unwrap_or(0),
            alarm: NEVER,
            #[cfg(feature = "measure")]
            measure: crate::measure::Measure::default(),
        }
    }

    /// The entry has come here.
    #[inline]
    pub(crate) fn begin(&mut self) {
        #[cfg(feature = "measure")]
        self.measure.begin(cpu::read_tsc());
    }

    /// The exit follows: the loaded vCPU's context, or 0.
    #[inline]
    pub(crate) fn end(&mut self) -> u64 {
        #[cfg(feature = "measure")]
        self.measure.end(cpu::read_tsc());
        self.context
    }

    /// The current vCPU's registers.
    #[inline]
    fn registers(&mut self) -> &mut Context {
        // SAFETY: there is a current vCPU whenever the core or the entry asks (contract of
        // `Machine`); its context page is mapped in the loaded root, belongs to the kernel alone,
        // and only this core uses it. The borrow of `self` keeps the reference single.
        unsafe { &mut *(self.context as *mut Context) }
    }

    fn vcpu_page(&self) -> VcpuPage {
        // SAFETY: as for `registers`; the partition writes there, too, which `VcpuPage` bears.
        unsafe { VcpuPage::new(self.page) }
    }

    /// The arguments of the current vCPU's call.
    #[inline]
    pub(crate) fn arguments(&mut self) -> [u64; 5] {
        let r = self.registers();
        [r.rdi, r.rsi, r.rdx, r.r10, r.r8]
    }

    /// Error code and address of the current vCPU's exception.
    pub(crate) fn cause(&mut self) -> (u64, u64) {
        let r = self.registers();
        (r.error, r.rip)
    }

    /// Takes the timer's interrupt: whether the armed time has come. If it hasn't (the timer
    /// can't count so far, or it was armed anew on the way), it is set again.
    #[inline]
    pub(crate) fn timer_due(&mut self) -> bool {
        self.module.local.end();
        if self.alarm <= self.module.clock.now() {
            return true;
        }
        self.arm(self.alarm);
        false
    }

    /// Ends an interrupt of another core.
    pub(crate) fn end_interrupt(&self) {
        self.module.local.end();
    }

    /// Takes a line's interrupt.
    #[inline]
    pub(crate) fn acknowledge(&self, vector: u64) -> Option<u32> {
        self.module.io.acknowledge(vector, self.module.local)
    }

    fn bases(&self) -> (u64, u64) {
        if self.module.fsgsbase {
            // SAFETY: the bit is set in CR4.
            return unsafe { cpu::read_bases() };
        }
        // SAFETY: every x86-64 processor has this register.
        let fs = unsafe { cpu::read_msr(msr::FS_BASE) };
        // SAFETY: as above.
        let gs = unsafe { cpu::read_msr(msr::KERNEL_GS_BASE) };
        (fs, gs)
    }

    /// Loads bases that are canonical.
    fn set_bases(&self, fs: u64, gs: u64) {
        if self.module.fsgsbase {
            // SAFETY: the bit is set in CR4; both are canonical.
            unsafe { cpu::write_bases(fs, gs) };
            return;
        }
        // SAFETY: canonical; the kernel doesn't use FS.
        unsafe { cpu::write_msr(msr::FS_BASE, fs) };
        // SAFETY: canonical; the kernel's own base is in the other register while it runs.
        unsafe { cpu::write_msr(msr::KERNEL_GS_BASE, gs) };
    }

    /// Leaves the current vCPU: what isn't saved by the entry goes to its page.
    #[inline]
    fn save(&mut self) {
        let (fs, gs) = self.bases();
        let registers = self.registers();
        registers.fs = fs;
        registers.gs = gs;
        if self.fp {
            // SAFETY: the area lies in the context page, at a multiple of 16; TS is clear while a
            // vCPU with FP registers is current.
            unsafe { cpu::fxsave((self.context + FP) as *mut u8) };
        }
        if !cpu::segments_are_null() {
            // SAFETY: this clears the active base of GS, so it is written again next; the user's
            // base is saved and will be loaded.
            unsafe { cpu::null_segments() };
            let block = core::ptr::from_mut(self.block) as u64;
            // SAFETY: the base that the entry expects.
            unsafe { cpu::write_msr(msr::GS_BASE, block) };
        }
    }

    /// Makes a context the one to return to.
    #[inline]
    fn set_context(&mut self, context: u64) {
        self.context = context;
        self.block.frame = context;
        let stack =
            if context == 0 { self.block.stack_top } else { context + core::mem::offset_of!(Context, fs) as u64 };
        let stacks = &raw mut self.block.tss.stacks;
        // SAFETY: the field is ours; it isn't aligned, as the manual wants it.
        unsafe { stacks.cast::<u64>().write_unaligned(stack) };
    }

    #[inline]
    fn load_root(&mut self, root: u64) {
        if self.root != root {
            self.root = root;
            // SAFETY: roots come from `space`; all map the kernel the same.
            unsafe { cpu::write_cr3(root) };
        }
    }

    /// Opens or closes the FP unit for the vCPU that is about to run. A closed unit is clean: a vCPU
    /// that may not use it could read it by speculation (CVE-2018-3665). What was in it is saved.
    #[inline]
    fn open_fp(&mut self, open: bool) {
        if open == self.fp_closed {
            self.fp_closed = !open;
            if open {
                // SAFETY: the registers are loaded next.
                unsafe { cpu::clear_task_switched() };
            } else {
                // SAFETY: the constant is what FXSAVE would write after a reset of the unit, which
                // is still open.
                unsafe { cpu::fxrstor(FP_CLEAN.0.as_ptr()) };
                // SAFETY: only TS differs from what the kernel runs with.
                unsafe { cpu::write_cr0(cr0::KERNEL | cr0::TS) };
            }
        }
    }
}

impl Machine for Processor {
    #[inline]
    fn now(&mut self) -> u64 {
        self.module.clock.now()
    }

    #[inline]
    fn arm(&mut self, at: u64) {
        self.alarm = at;
        let Module { local, rate, timer, .. } = self.module;
        match timer {
            LocalTimer::Count if at == NEVER => local.set_count(0),
            LocalTimer::Count => {
                local.set_count(rate.count(at.saturating_sub(self.module.clock.now())));
            }
            LocalTimer::Deadline => {
                let ticks = cpu::read_tsc();
                let wait = at.saturating_sub(self.module.clock.at(ticks));
                let deadline = match at {
                    NEVER => 0,
                    _ => ticks.saturating_add(rate.ticks(wait)).max(1),
                };
                // SAFETY: `Deadline` is chosen only where CPUID tells of this register.
                unsafe { cpu::write_msr(msr::TSC_DEADLINE, deadline) };
            }
        }
    }

    fn kick(&mut self, core: u32) {
        if let Some(&apic) = self.module.apics.get(core as usize) {
            self.module.local.kick(apic);
        }
    }

    #[inline]
    fn switch(&mut self, from: Option<u32>, to: Option<u32>) {
        if from.is_some() && self.context != 0 {
            self.save();
        }
        let Some(slot) = to.and_then(|to| self.module.slots.get(to as usize)) else {
            self.open_fp(false);
            self.fp = false;
            self.page = 0;
            self.set_context(0);
            self.ports.close(&mut self.block.tss);
            self.load_root(self.module.root);
            return;
        };
        self.load_root(slot.root);
        self.page = slot.page;
        self.set_context(slot.context);
        self.fp = slot.fp;
        self.open_fp(slot.fp);
        if slot.fp {
            // SAFETY: saved there at the latest switch; the first switch to a vCPU finds what boot
            // has left there, which is all zeros: no exception is pending in that, nor masked bits
            // of MXCSR set that the processor doesn't know.
            unsafe { cpu::fxrstor((slot.context + FP) as *const u8) };
        }
        let (fs, gs) = {
            let registers = self.registers();
            (registers.fs, registers.gs)
        };
        self.set_bases(fs, gs);
        self.ports.open(&mut self.block.tss, slot.ports);
    }

    fn start(&mut self, entry: u64, stack: u64, arguments: [u64; 2], head: &VcpuHead) {
        *self.registers() = Context::fresh(entry, stack, arguments);
        self.set_bases(0, 0);
        if self.fp {
            // SAFETY: the constant is what FXSAVE would write after a reset of the unit.
            unsafe { cpu::fxrstor(FP_CLEAN.0.as_ptr()) };
        }
        let clock = &self.module.clock;
        let head = VcpuHead {
            counter_frequency: clock.frequency,
            counter_zero: clock.zero,
            counter_scale: clock.scale,
            ..*head
        };
        let page = self.vcpu_page();
        page.clear();
        page.set_head(&head);
    }

    #[inline]
    fn set_result(&mut self, status: u64, value: u64) {
        let registers = self.registers();
        registers.rax = status;
        registers.rdx = value;
    }

    #[inline]
    fn upcalls_masked(&mut self) -> bool {
        self.vcpu_page().masked()
    }

    fn enter_upcall(&mut self, upcall: &Upcall, keep_frame: bool) {
        let page = self.vcpu_page();
        if !keep_frame {
            let (fs, gs) = self.bases();
            page.set_frame(&self.registers().frame(fs, gs));
        }
        page.set_upcall(upcall);
        self.registers().enter(upcall.entry, upcall.stack, [upcall.reason as u64, upcall.events]);
    }

    fn resume_frame(&mut self) {
        let page = self.vcpu_page();
        let frame = page.frame();
        self.registers().set_frame(&frame);
        self.set_bases(base(frame.tls), base(frame.gs));
        page.set_masked(0);
    }

    fn set_window_start(&mut self, start: u64) {
        self.vcpu_page().set_window_start(start);
    }

    fn in_guest(&self) -> bool {
        false
    }

    fn enter_guest(&mut self) -> Result<(), Error> {
        Err(Error::NotSupported)
    }

    fn leave_guest(&mut self, _exit: GuestExit) {}

    #[inline]
    fn copy(&mut self, to: u64, from: u64, bytes: u32) {
        let to = private(to) as *mut u8;
        let from = private(from) as *const u8;
        // SAFETY: the core has proved that the root maps both (contract of `Machine`); Rust holds
        // no references into partitions' memory.
        unsafe { cpu::copy(to, from, bytes as usize) };
    }

    fn write(&mut self, to: u64, bytes: &[u8]) {
        // SAFETY: as in `copy`; the source is the kernel's own.
        unsafe { cpu::copy(private(to) as *mut u8, bytes.as_ptr(), bytes.len()) };
    }

    fn mask_line(&mut self, line: u32) {
        self.module.io.mask(line);
    }

    fn unmask_line(&mut self, line: u32) {
        self.module.io.unmask(line, self.apic, self.module.local);
    }

    fn quiesce(&mut self, write: &QuiesceRecord) {
        power::quiesce(write);
    }

    #[cfg(feature = "measure")]
    fn longest_masked(&self) -> u64 {
        self.measure.longest()
    }

    fn halt(&mut self, how: Halt) {
        power::halt(how);
    }
}
