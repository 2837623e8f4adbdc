// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A vCPU of the guest: its registers, and what its kernel has told of itself.
//!
//! ```text
//!   vectors.S ──► Vcpu.general, Guest (vCPU page) ──► begin ──► … ──► finish ──► Guest, exit block
//! ```
//! Between `begin` and `finish` all of the guest's registers are here, whatever way it came by. Its
//! FP registers, FS and selectors stay in the processor: the shim is built without them.

use core::ptr::NonNull;

use parzelle_abi::vcpu_page::GUEST;
use parzelle_abi::x86_64::Guest;
use parzelle_rt::VcpuPage;
use parzelle_xen::instruction::Registers;
use parzelle_xen::traps::TrapTable;

use crate::guarded;
use crate::instructions::{gs_base, set_gs_base};
use crate::own::{self, Cause};
use parzelle_shim_backends::Output;

/// 64-bit code, privilege 3.
pub const USER_CODE: u16 = 0x33;
/// Data and stack, privilege 3.
pub const USER_DATA: u16 = 0x2b;
/// RFLAGS with which everything begins: IF and the bit that is always set.
pub const FLAGS: u64 = 0x202;
/// How many vCPUs a guest can have.
pub const VCPUS: usize = 8;

/// Numbers of general registers.
pub mod register {
    /// rax.
    pub const RAX: usize = 0;
    /// rcx.
    pub const RCX: usize = 1;
    /// rdx.
    pub const RDX: usize = 2;
    /// rbx.
    pub const RBX: usize = 3;
    /// rsp.
    pub const RSP: usize = 4;
    /// rsi.
    pub const RSI: usize = 6;
    /// rdi.
    pub const RDI: usize = 7;
    /// r8.
    pub const R8: usize = 8;
    /// r9.
    pub const R9: usize = 9;
    /// r10.
    pub const R10: usize = 10;
    /// r11.
    pub const R11: usize = 11;
}

/// Entries into the guest's kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Callbacks {
    /// For events.
    pub event: u64,
    /// For returns that fail.
    pub failsafe: u64,
    /// That one masks events.
    pub failsafe_masks: bool,
    /// For system calls.
    pub syscall: u64,
    /// That one masks events.
    pub syscall_masks: bool,
}

/// A vCPU.
#[derive(Debug)]
#[repr(C)]
pub struct Vcpu {
    /// Its general registers, by number.
    pub general: [u64; 16],
    /// Where the shim's stack begins, for the assembly.
    pub(crate) stack: u64,
    /// Its part of the vCPU page.
    pub(crate) guest: NonNull<Guest>,
    /// Its number.
    pub index: u32,
    /// Where it goes on.
    pub rip: u64,
    /// Its flags.
    pub rflags: u64,
    /// Its code segment.
    pub cs: u16,
    /// Its stack segment.
    pub ss: u16,
    /// It runs a user program, not its kernel.
    pub user: bool,
    /// What is in GS is the user program's base.
    gs_is_users: bool,
    /// Where traps go.
    pub traps: TrapTable,
    /// Where the rest goes.
    pub callbacks: Callbacks,
    /// Control registers that it believes to have set: CR0.TS, CR4.
    pub task_switched: bool,
    /// See there.
    pub cr4: u64,
    /// Debug registers.
    pub debug: [u64; 8],
    /// The first frame of its GDT.
    pub gdt: Option<u64>,
    /// Its segments 12 to 15, as the kernel has them.
    pub segments: [u64; 4],
    /// Events were taken from the kernel, and the domain has not looked at everything since.
    pub has_news: bool,
    /// Its LDT's entries that the kernel was given.
    pub ldt_entries: u64,
}

// SAFETY: the page is mapped for all of the partition; only the vCPU itself runs with this.
unsafe impl Send for Vcpu {}

impl Vcpu {
    /// The vCPU of that page, before its first instruction.
    #[must_use]
    pub fn new(page: &VcpuPage, index: u32) -> Option<Self> {
        let memory = page.memory().part(GUEST, size_of::<Guest>() as u64)?;
        Some(Self {
            general: [0; 16],
            stack: 0,
            guest: NonNull::new(memory.address() as *mut Guest)?,
            index,
            rip: 0,
            rflags: FLAGS,
            cs: USER_CODE,
            ss: USER_DATA,
            user: false,
            gs_is_users: false,
            traps: TrapTable::new(),
            callbacks: Callbacks::default(),
            task_switched: false,
            cr4: 0,
            debug: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
            gdt: None,
            segments: [0; 4],
            has_news: false,
            ldt_entries: 0,
        })
    }

    /// Its part of the vCPU page.
    #[inline]
    pub fn page(&mut self) -> &mut Guest {
        // SAFETY: `new` found a `Guest` there, aligned; any bytes are one. Beside this vCPU only the
        // kernel writes there: when the guest is left, and `pending`, which is read as volatile.
        unsafe { self.guest.as_mut() }
    }

    /// One of the shim's own words there.
    #[inline]
    pub fn own(&mut self, word: usize) -> &mut u64 {
        // All of them are below 16.
        let words = &mut self.page().own;
        &mut words[word & 15]
    }

    /// Makes the words known that assembly needs. The vCPU does not move any more.
    pub fn settle(&mut self) {
        *self.own(own::SAVE) = (&raw mut self.general) as u64 + size_of_val(&self.general) as u64;
        *self.own(own::CALL) = crate::run::call(false);
        *self.own(own::TRAP) = crate::run::trap(false);
    }

    /// Whether an event of interest came since this was asked last; then poll.
    #[inline]
    pub fn take_pending(&mut self) -> bool {
        let pending = &raw mut self.page().pending;
        // SAFETY: the kernel may write it at any time, as a whole word.
        let was = unsafe { pending.read_volatile() };
        if was != 0 {
            // SAFETY: as above; what comes from now on sets it again.
            unsafe { pending.write_volatile(0) };
        }
        was != 0
    }

    /// Gathers the registers, whatever way the guest was left by.
    pub fn begin(&mut self, cause: Cause) {
        let page = *self.page();
        (self.rip, self.rflags) = (page.rip, page.rflags);
        self.general[register::RSP] = page.rsp;
        if matches!(cause, Cause::GuestCall | Cause::HostCall) {
            (self.cs, self.ss) = (USER_CODE, USER_DATA);
            self.general[register::RCX] = page.rip;
            self.general[register::R11] = page.rflags;
        } else {
            (self.cs, self.ss) = (page.cs as u16, page.ss as u16);
            self.general[register::RAX] = page.rax;
            self.general[register::RCX] = page.rcx;
            self.general[register::R11] = page.r11;
        }
        self.user = cause.is_user();
        self.gs_is_users = self.user && cause != Cause::Returned;
        if self.gs_is_users {
            *self.own(own::GS_USER) = gs_base();
        }
    }

    /// The guest's kernel runs, as the assembly knows.
    #[inline]
    pub const fn is_in_kernel(&mut self) {
        (self.user, self.gs_is_users) = (false, false);
    }

    /// Hands the registers to the exit.
    pub fn finish(&mut self) {
        if self.user != self.gs_is_users {
            let word = if self.user { own::GS_USER } else { own::GS_KERNEL };
            set_gs_base(*self.own(word));
            self.gs_is_users = self.user;
        }
        let [rax, rcx, r11] = [register::RAX, register::RCX, register::R11].map(|n| self.general[n]);
        let (rip, rflags, rsp) = (self.rip, self.rflags, self.general[register::RSP]);
        let (cs, ss) = if self.user { (self.cs, self.ss) } else { (USER_CODE, USER_DATA) };
        let is_fast = rcx == rip && r11 == rflags && (cs, ss) == (USER_CODE, USER_DATA);
        let page = self.page();
        (page.rip, page.rflags, page.rsp) = (rip, rflags, rsp);
        (page.cs, page.ss) = (cs.into(), ss.into());
        (page.rax, page.rcx, page.r11) = (rax, rcx, r11);
        *self.own(own::EXIT) = crate::run::exit(self.user, is_fast);
    }

    /// Its registers, for instructions that are emulated.
    #[must_use]
    pub fn registers(&self) -> Registers {
        Registers { general: self.general, rip: self.rip, rflags: self.rflags }
    }

    /// What has become of them; rip stays.
    pub fn set_registers(&mut self, registers: &Registers) {
        self.general = registers.general;
        self.rflags = registers.rflags;
    }

    /// The base of GS in its kernel.
    pub fn set_kernel_gs(&mut self, base: u64) {
        *self.own(own::GS_KERNEL) = base;
        if !self.gs_is_users {
            set_gs_base(base);
        }
    }

    /// Loads the selector of GS in its user programs, and with it the base; one that can't be
    /// loaded is as none. Its kernel runs, and keeps its own base.
    pub fn load_user_gs(&mut self, selector: u16) {
        let kernel = gs_base();
        // Some processors leave the base as it is when they load nothing.
        set_gs_base(*self.own(own::GS_USER));
        if guarded::load_gs(selector).is_err() {
            let _ = guarded::load_gs(0);
        }
        *self.own(own::GS_USER) = gs_base();
        set_gs_base(kernel);
    }

    /// The base of GS in its user programs.
    pub fn set_user_gs(&mut self, base: u64) {
        *self.own(own::GS_USER) = base;
        if self.gs_is_users {
            set_gs_base(base);
        }
    }

    /// Says what its registers are.
    #[cold]
    pub fn report(&mut self, output: &mut Output) {
        let (rip, rflags, cs, user) = (self.rip, self.rflags, self.cs, self.user);
        let place = if user { "a user program" } else { "its kernel" };
        output.say(format_args!("crash of the guest, in {place}: rip {rip:#x} rflags {rflags:#x} cs {cs:#x}"));
        let page = self.page();
        let (vector, error, address) = (page.vector, page.error, page.address);
        output.say(format_args!("the last exception: {vector}, error code {error:#x}, address {address:#x}"));
        const NAMES: [&str; 4] = ["rax rcx rdx rbx", "rsp rbp rsi rdi", "r8 …", "r12 …"];
        for (four, names) in self.general.chunks(4).zip(NAMES) {
            output.say(format_args!("{four:016x?} {names}"));
        }
    }
}
