// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The processor as the kernel core sees it.

use crate::boot::Features;
use crate::context::{Context, FP, FP_CLEAN, SAVED};
use crate::guest::Guest;
use crate::instructions as cpu;
use crate::iommu::Iommu;
use crate::irqchip::{IoApic, KICK};
use crate::layout::private;
use crate::page::VcpuPage;
use crate::percore::PerCore;
use crate::ports::Ports;
use crate::power;
use crate::registers::{cr0, cr4, msr};
use crate::timer::Timer;
use core::hint::cold_path;
use core::mem::offset_of;
use parzelle_abi::NEVER;
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::call::Error;
use parzelle_abi::vcpu_page::VcpuHead;
use parzelle_core::CoreState;
use parzelle_core::machine::{Halt, Machine, Upcall};
use parzelle_plan::{ACCESS_STREAM, AccessRecord, IoPortsRecord, VCPU_FP, VCPU_GUEST, VcpuRecord};

/// A core's state on this architecture.
pub(crate) type Core = CoreState<Processor>;

/// What the vCPUs of a partition share.
pub(crate) struct Space {
    /// Its root (physical).
    pub(crate) root: u64,
    /// Its I/O ports.
    pub(crate) ports: &'static [IoPortsRecord],
    /// Its guest.
    pub(crate) guest: Option<&'static Guest>,
}

/// What all cores share, made at boot and never changed.
pub(crate) struct Module {
    /// The partitions' spaces, as in the plan.
    pub(crate) spaces: &'static [Space],
    /// The one without a partition.
    pub(crate) none: Space,
    /// Clock and alarm.
    pub(crate) timer: Timer,
    /// The IO-APIC, and messages.
    pub(crate) io: IoApic,
    /// The IOMMU.
    pub(crate) iommu: Option<Iommu>,
    /// The numbers of the cores' APICs.
    pub(crate) apics: &'static [u8],
    /// What the processor can do.
    pub(crate) features: Features,
}

/// A core.
pub(crate) struct Processor {
    /// What it shares with the others.
    pub(crate) module: &'static Module,
    /// Its number.
    pub(crate) number: u32,
    pub(crate) block: &'static mut PerCore,
    /// The loaded vCPU's space; before the first, that without a partition. With a guest, another root of
    /// its partition may be loaded.
    pub(crate) space: &'static Space,
    /// The loaded context, in the private window; before the first, one that nobody uses.
    pub(crate) context: u64,
    /// The loaded vCPU's page (physical), and where its partition finds it.
    pub(crate) page: u64,
    pub(crate) page_virtual: u64,
    /// The loaded vCPU's number in its partition.
    pub(crate) index: u32,
    /// The loaded vCPU's flags ([`VCPU_FP`], [`VCPU_GUEST`]).
    pub(crate) flags: u32,
    ports: Ports,
    timer: Timer,
    /// What is armed.
    alarm: u64,
    /// User mode can change the bases of FS and GS, and so can we, cheaply.
    fsgsbase: bool,
    #[cfg(feature = "measure")]
    measure: crate::measure::Measure,
}

impl Processor {
    /// Makes a core's processor. `block` has settled; the root of the module is loaded before
    /// anything is asked of it, and CR0.TS set. `idle` is where the first switch saves to.
    pub(crate) fn new(
        module: &'static Module,
        number: u32,
        block: &'static mut PerCore,
        idle: &'static mut Context,
    ) -> Processor {
        Processor {
            module,
            number,
            block,
            space: &module.none,
            context: core::ptr::from_mut(idle) as u64,
            page: 0,
            page_virtual: 0,
            index: 0,
            flags: 0,
            ports: Ports::default(),
            timer: module.timer,
            alarm: NEVER,
            fsgsbase: module.features.cr4 & cr4::FSGSBASE != 0,
            #[cfg(feature = "measure")]
            measure: crate::measure::Measure::default(),
        }
    }

    /// The entry has come here.
    pub(crate) fn begin(&mut self) {
        #[cfg(feature = "measure")]
        self.measure.begin(cpu::read_tsc());
    }

    /// The exit follows: the loaded context.
    pub(crate) fn end(&mut self) -> *const Context {
        #[cfg(feature = "measure")]
        self.measure.end(cpu::read_tsc());
        self.context as *const Context
    }

    /// The loaded registers.
    pub(crate) fn registers(&mut self) -> &mut Context {
        // SAFETY: the loaded context is mapped in the loaded root, belongs to the kernel alone, and only
        // this core uses it. The borrow of `self` keeps the reference single.
        unsafe { &mut *(self.context as *mut Context) }
    }

    pub(crate) fn vcpu_page(&self) -> VcpuPage {
        // SAFETY: there is a current vCPU whenever the core asks (contract of `Machine`), so its
        // page is mapped; the partition writes there, too, which `VcpuPage` bears.
        unsafe { VcpuPage::new(private(self.page)) }
    }

    /// The arguments of the current vCPU's call.
    pub(crate) fn arguments(&mut self) -> [u64; 5] {
        let Context { rdi, rsi, rdx, r: [r8, _, r10, ..], .. } = *self.registers();
        [rdi, rsi, rdx, r10, r8]
    }

    /// Takes the timer's interrupt: whether the armed time has come. If it hasn't (the timer
    /// can't count so far, or it was armed anew on the way), it is set again.
    pub(crate) fn timer_due(&mut self) -> bool {
        self.timer.local.end();
        let due = self.alarm <= self.timer.clock.now();
        if !due {
            self.timer.arm(self.alarm);
        }
        due
    }

    /// Takes a line's interrupt.
    pub(crate) fn acknowledge(&self, vector: u64) -> Option<u32> {
        self.module.io.acknowledge(vector, self.timer.local)
    }

    fn bases(&self) -> [u64; 2] {
        if self.fsgsbase {
            // SAFETY: the bit is set in CR4.
            return unsafe { cpu::read_bases() }.into();
        }
        cold_path();
        // SAFETY: every x86-64 processor has these registers.
        [msr::FS_BASE, msr::KERNEL_GS_BASE].map(|base| unsafe { cpu::read_msr(base) })
    }

    /// Loads bases that are canonical.
    fn set_bases(&self, [fs, gs]: [u64; 2]) {
        if self.fsgsbase {
            // SAFETY: the bit is set in CR4; both are canonical.
            return unsafe { cpu::write_bases(fs, gs) };
        }
        cold_path();
        for (register, base) in [(msr::FS_BASE, fs), (msr::KERNEL_GS_BASE, gs)] {
            // SAFETY: canonical; the kernel doesn't use FS, and while it runs its own base of GS is
            // in the other register.
            unsafe { cpu::write_msr(register, base) };
        }
    }

    /// Enters another partition's space. Its vCPUs find their segment registers null: those before
    /// could signal by leaving something there. Bases are saved before, and loaded afterwards.
    fn enter(&mut self, space: &'static Space) {
        // SAFETY: roots come from `space`; all map the kernel the same.
        let load = || unsafe { cpu::write_cr3(space.root) };
        match (self.space.guest, space.guest) {
            (None, None) => load(),
            (before, next) => self.change_root(before, next, load),
        }
        // SAFETY: the bases that this changes are loaded next.
        unsafe { cpu::null_segments() };
        self.space = space;
        self.ports.open(&mut self.block.tss, space.ports);
    }

    /// Takes another core's interrupt.
    pub(crate) fn kicked(&mut self) {
        self.timer.local.end();
        self.forget();
    }

    /// Loads the FP registers of the loaded vCPU, if it has some. If not, it finds the unit closed, and
    /// clean: it could read what is in there by speculation (CVE-2018-3665).
    fn load_fp(&mut self) {
        if self.flags & VCPU_FP != 0 {
            // SAFETY: the registers are loaded next.
            unsafe { cpu::clear_task_switched() };
            // SAFETY: saved there at the latest switch; the first switch to a vCPU finds what boot
            // has left there, which is all zeros: no exception is pending in that, nor masked bits
            // of MXCSR set that the processor doesn't know.
            unsafe { cpu::fxrstor((self.context + FP) as *const u8) };
        } else {
            // SAFETY: the constant is what FXSAVE would write after a reset of the unit, which is
            // still open.
            unsafe { cpu::fxrstor(FP_CLEAN.0.as_ptr().cast()) };
            // SAFETY: only TS differs from what the kernel runs with.
            unsafe { cpu::write_cr0(cr0::KERNEL | cr0::TS) };
        }
    }
}

impl Machine for Processor {
    fn now(&mut self) -> u64 {
        self.timer.clock.now()
    }

    fn arm(&mut self, at: u64) {
        self.alarm = at;
        self.timer.arm(at);
    }

    fn kick(&mut self, core: u32) {
        if let Some(&apic) = self.module.apics.get(core as usize) {
            self.timer.local.send(apic, KICK as u32);
        }
    }

    fn switch(&mut self, _number: u32, to: &VcpuRecord) {
        let Some(space) = self.module.spaces.get(to.partition as usize) else { return };
        let [fs, gs] = self.bases();
        let registers = self.registers();
        (registers.fs, registers.gs) = (fs, gs);
        let before = self.flags;
        if before & VCPU_FP != 0 {
            // SAFETY: the area lies in the context page, at a multiple of 16; TS is clear while a
            // vCPU with FP registers is loaded.
            unsafe { cpu::fxsave((self.context + FP) as *mut u8) };
        }
        if before & VCPU_GUEST != 0 {
            self.save_sides();
        }
        if self.space.root != space.root {
            self.enter(space);
        }
        self.context = private(to.context);
        (self.page, self.page_virtual, self.index) = (to.page, to.page_virtual, to.index);
        self.flags = to.flags;
        self.block.tss.stack = self.context + SAVED;
        if to.flags & VCPU_GUEST != 0 {
            self.enter_sides();
        }
        let &mut Context { fs, gs, .. } = self.registers();
        self.set_bases([fs, gs]);
        if (before | to.flags) & VCPU_FP != 0 {
            self.load_fp();
        }
    }

    fn start(&mut self, entry: u64, stack: u64, arguments: [u64; 2], head: &VcpuHead) {
        *self.registers() = Context::fresh(entry, stack, arguments);
        self.begin_sides();
        self.set_bases([0; 2]);
        if self.flags & VCPU_FP != 0 {
            // SAFETY: the constant is what FXSAVE would write after a reset of the unit.
            unsafe { cpu::fxrstor(FP_CLEAN.0.as_ptr().cast()) };
        }
        let clock = self.timer.clock;
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

    fn set_result(&mut self, status: u64, value: u64) {
        let registers = self.registers();
        registers.rax = status;
        registers.rdx = value;
    }

    fn upcalls_masked(&mut self) -> bool {
        if self.has_guest() { self.shim_is_busy() } else { self.vcpu_page().masked() }
    }

    fn enter_upcall(&mut self, upcall: &Upcall, keep_frame: bool) {
        if self.has_guest() {
            return self.reflect(upcall);
        }
        let page = self.vcpu_page();
        if !keep_frame {
            let bases = self.bases();
            page.set_frame(self.registers(), bases);
        }
        page.set_upcall(upcall);
        self.registers().enter(upcall.entry, upcall.stack, [upcall.reason as u64, upcall.events]);
    }

    fn resume_frame(&mut self) {
        let page = self.vcpu_page();
        let bases = page.frame(self.registers());
        self.set_bases(bases);
        page.set(offset_of!(VcpuHead, masked), 0);
    }

    fn set_window_start(&mut self, start: u64) {
        self.vcpu_page().set(offset_of!(VcpuHead, window_start), start);
    }

    fn in_guest(&self) -> bool {
        false
    }

    fn enter_guest(&mut self) -> Result<(), Error> {
        Err(Error::NotSupported)
    }

    fn leave_guest(&mut self, _exit: GuestExit) {}

    fn stopped(&mut self, vcpu: &VcpuRecord) {
        self.leave_tables(vcpu);
    }

    fn reset(&mut self, partition: u32) -> bool {
        self.reset_guest(partition)
    }

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
        self.module.io.unmask(line, self.timer.local);
    }

    fn flush(&mut self) {
        let features = self.module.features;
        let commands = [(features.l1d_flush, msr::FLUSH_COMMAND), (features.ibpb, msr::PREDICTION_COMMAND)];
        for (_, command) in commands.into_iter().filter(|command| command.0) {
            // SAFETY: CPUID says that the register is there; its bit 0 is a command that changes
            // nothing but time.
            unsafe { cpu::write_msr(command, 1) };
        }
        if !features.l1d_flush {
            // SAFETY: writes back what is cached and forgets it.
            unsafe { cpu::write_back_and_invalidate() };
        }
    }

    fn quiesce(&mut self, access: &AccessRecord) {
        match &self.module.iommu {
            Some(iommu) if access.what & ACCESS_STREAM != 0 => iommu.set_stream(access.address, access.value != 0),
            _ => power::access(access),
        }
    }

    #[cfg(feature = "measure")]
    fn longest_masked(&self) -> u64 {
        self.measure.longest()
    }

    fn halt(&mut self, how: Halt) {
        #[cfg(feature = "audit")]
        crate::guest::audit::all(self.module);
        power::halt(how);
    }
}
