// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! An attacker in the place of a guest's shim: random calls on page tables, garbage in the queue, segments of all
//! kinds, returns to foreign code with words that are anything, and that code.
//!
//! ```text
//!   turn ──► calls, queue, segments, memory ──┐          health monitor: a fault that is not guarded
//!    ▲ ▲                                      │           │ warm start, counters are kept
//!    │ └──────────────────────────────────────┘           ▼
//!    └── vectors ◄── kernel ◄── foreign code ◄── resume, enter
//! ```
//! Each vCPU does that by itself. When as much is done as `config.operations` says, it says so and becomes
//! NORMAL, which its watcher waits for; the tables stay as they are, for the audit.
#![no_std]
#![no_main]

mod calls;
mod ram;
mod runs;
mod ways;

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parzelle_rt::abi::x86_64::{Guest, GuestCall, SHIM, SHIM_END};
use parzelle_rt::abi::{Call, NEVER, PAGE, event, vcpu_page};
use parzelle_rt::{Error, Partition};
use test_support::{Random, Test};

use crate::ram::Ram;
use crate::ways::{FORBIDDEN, LOADS, guarded_load, guarded_store, guarded_task};

/// The kernel's call for an audit; a kernel that is built otherwise doesn't have it.
const AUDIT: u64 = 127;
/// What the shim is told of.
const INTEREST: u64 = event::TIMER | event::SOFTWARE;
/// vCPUs, at most.
const VCPUS: usize = 2;
/// Causes of arrivals, as the assembly numbers them.
const CAUSES: usize = 9;
/// One of these.
const GUEST_TRAP: u64 = 1;
/// As above.
const HOST_TRAP: u64 = 4;
/// As above.
const REPAIR: u64 = 6;

parzelle_rt::retained! {
    /// Operations so far.
    static DONE: AtomicU64;
}
parzelle_rt::retained! {
    /// Starts so far.
    static STARTS: AtomicU64;
}
parzelle_rt::retained! {
    /// Things that should not have been possible.
    static BREACHES: AtomicU64;
}
parzelle_rt::retained! {
    /// Audits that were made.
    static AUDITS: AtomicU64;
}
parzelle_rt::retained! {
    /// Reports that were made.
    static SAID: AtomicU64;
}

/// The state of each vCPU's random numbers, the generation it last heard of, whether its roots make sense.
static STATE: [[AtomicU64; 3]; VCPUS] = [const { [const { AtomicU64::new(0) }; 3] }; VCPUS];
/// Arrivals by cause.
static ARRIVALS: [AtomicU64; CAUSES] = [const { AtomicU64::new(0) }; CAUSES];

/// Exceptions that came back, a bit each.
static VECTORS: AtomicU64 = AtomicU64::new(0);
/// Calls of guests by number, from [`GuestCall::Create`] on; then `settle` that worked, and that didn't.
static CALLS: [[AtomicU64; 2]; 10] = [const { [const { AtomicU64::new(0) }; 2] }; 10];
/// What [`Attack::count`] takes for these.
pub(crate) const SETTLED: u64 = GuestCall::Create as u64 + 8;
/// As above.
pub(crate) const UNSETTLED: u64 = GuestCall::Create as u64 + 9;

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let starts = STARTS.fetch_add(1, Relaxed) + 1;
    for (vcpu, [seed, ..]) in (0..).zip(&STATE) {
        seed.store(starts << 8 | vcpu, Relaxed);
    }
    let Some(ram) = ram() else { return Ok(()) };
    if DONE.load(Relaxed) >= wanted() {
        // Nothing is left to do: this was the fault of a vCPU that had not heard of that.
        return parzelle_rt::ready();
    }
    let mut random = Random::new(starts);
    ram.code(&mut random);
    ram.garbage(&mut random);
    ram.repair();
    for vcpu in 1..me.vcpus() {
        parzelle_rt::vcpu::start(vcpu, begin, vcpu.into())?;
    }
    begin(0)
}

/// The guest's memory.
fn ram() -> Option<Ram> {
    let guest = Partition::get().guest()?;
    Some(Ram { base: guest.ram, frames: guest.ram_bytes / PAGE })
}

/// A vCPU begins.
extern "C" fn begin(vcpu: u64) -> ! {
    let header = *Partition::get().header();
    let guest = (header.vcpu_pages + vcpu * PAGE + vcpu_page::GUEST) as *mut Guest;
    let stack = ((header.stack_top - vcpu * header.stack_stride) & !15) - 64;
    let own = guest.wrapping_byte_add(offset_of!(Guest, own)).cast::<u64>();
    // SAFETY: the shim's word of the vCPU page.
    unsafe { own.write_volatile(stack) };
    let _ = raw(Call::SetUpcall as u64, [1, 0, INTEREST]);
    turn(guest, CAUSES as u64)
}

/// Where all comes back to, and goes on from.
pub(crate) extern "C" fn turn(guest: *mut Guest, cause: u64) -> ! {
    if let Some(count) = ARRIVALS.get(cause as usize) {
        count.fetch_add(1, Relaxed);
    }
    let vcpu = (guest as u64 - Partition::get().header().vcpu_pages) / PAGE;
    let (Some(state), Some(ram)) = (STATE.get(vcpu as usize), ram()) else { parzelle_rt::idle() };
    let [seed, generation, settled] = state.each_ref().map(|word| word.load(Relaxed));
    let random = Random::new(seed);
    let me = Partition::get();
    let (audits, alone) = (me.config().flag("audits").unwrap_or(false), me.vcpus() == 1);
    let mut it = Attack { vcpu, guest, ram, random, generation, settled: settled != 0, audits, alone };
    if cause == GUEST_TRAP || cause == HOST_TRAP || cause == REPAIR {
        let vector = it.get(offset_of!(Guest, vector));
        VECTORS.fetch_or(1 << (vector & 63), Relaxed);
    }
    let _ = raw(Call::SetTimer as u64, [NEVER, 0, 0]);
    it.set(offset_of!(Guest, pending), 0);
    let _ = raw(Call::Wait as u64, [0, INTEREST, 0]);
    loop {
        it.operation();
    }
}

/// A vCPU's attack.
pub(crate) struct Attack {
    vcpu: u64,
    guest: *mut Guest,
    ram: Ram,
    random: Random,
    generation: u64,
    settled: bool,
    /// Audits on the way; they are long, and nobody's windows come meanwhile.
    audits: bool,
    /// There is one vCPU.
    alone: bool,
}

impl Attack {
    fn operation(&mut self) {
        let done = DONE.fetch_add(1, Relaxed) + 1;
        self.report(done);
        if done.is_multiple_of(8192) && self.audits {
            self.audit();
        }
        if done.is_multiple_of(4096) {
            self.ram.code(&mut self.random);
        }
        match self.random.below(100) {
            0..50 => self.call(),
            50..55 => self.queue(),
            55..60 => self.segments(),
            60..64 => self.memory(),
            64 => self.settle(),
            65..67 => self.other(),
            67..90 => {
                if self.random.below(4) == 0 && !self.settled {
                    self.settle();
                }
                self.resume()
            }
            _ if self.settled => self.enter(),
            _ => self.settle(),
        }
        // Whatever changes roots may have changed these.
        self.settled &= self.random.below(16) != 0;
    }

    /// Keeps what the next turn goes on with.
    fn keep(&mut self) {
        if let Some(state) = STATE.get(self.vcpu as usize) {
            let words = [self.random.word(), self.generation, self.settled.into()];
            state.iter().zip(words).for_each(|(word, value)| word.store(value, Relaxed));
        }
    }

    /// Writes the word at `offset` of this vCPU's `Guest`.
    fn set(&mut self, offset: usize, word: u64) {
        let at = self.guest.wrapping_byte_add(offset).cast::<u64>();
        // SAFETY: in the vCPU page, which holds integers, and to which nobody has references.
        unsafe { at.write_volatile(word) };
    }

    /// Reads it.
    fn get(&mut self, offset: usize) -> u64 {
        let at = self.guest.wrapping_byte_add(offset).cast::<u64>();
        // SAFETY: as above.
        unsafe { at.read_volatile() }
    }

    /// Loads a selector, and looks at it.
    fn segments(&mut self) {
        let selector = self.selector();
        let load = LOADS[self.random.below(LOADS.len() as u64) as usize];
        // SAFETY: in 64-bit code none of these registers matters to this program; faults are guarded.
        let _ = unsafe { load(selector, 0) };
        // SAFETY: changes no memory; faults where UMIP is.
        let _ = unsafe { guarded_task(0, 0) };
        let forbidden = FORBIDDEN[self.random.below(FORBIDDEN.len() as u64) as usize];
        // SAFETY: the processor refuses it; if not, that is a breach.
        if unsafe { forbidden(0, 0) } == 0 {
            self.breach("a privileged instruction was executed");
        }
    }

    /// Touches the kernel's memory, and memory of the guest's half.
    fn memory(&mut self) {
        let kernel = 0xffff_8000_0000_0000 + (self.random.word() & 0xff_ffff_ffff);
        let above = SHIM_END - (self.random.word() & 0x7ff_ffff_ffff) % (SHIM_END - SHIM - (1 << 39)) - 8;
        for address in [kernel, above] {
            // SAFETY: guarded; the kernel's and nobody's, so that nothing of this program is there.
            let load = unsafe { guarded_load(address, 0) };
            // SAFETY: as above.
            let store = unsafe { guarded_store(address, 7) };
            if load == 0 || store == 0 {
                self.breach("memory of the kernel was touched");
            }
        }
        // SAFETY: guarded, and only read: whatever the guest's tables lead to.
        let _ = unsafe { guarded_load(self.random.word() & 0x7fff_ffff_ffff, 0) };
    }

    /// Other calls that a shim makes.
    fn other(&mut self) {
        let (a, b) = (self.random.below(3), self.random.below(256));
        let _ = match self.random.below(3) {
            0 => raw(Call::Kick as u64, [a, b, 0]),
            1 => raw(Call::SetUpcall as u64, [1, 0, INTEREST]),
            _ => raw(Call::RunGuest as u64, [self.random.edge(), 0, 0]),
        };
    }

    fn audit(&mut self) {
        let (status, value) = raw(AUDIT, [0; 3]);
        // What is queued comes first: the next time, then.
        if status == 0 && value > 2 {
            self.breach("the audit has found something");
        }
        AUDITS.fetch_add((status == 0).into(), Relaxed);
    }

    /// Counts a call: those that did something, and those that were refused.
    pub(crate) fn count(&mut self, number: u64, status: u64) {
        if let Some(counts) = CALLS.get(number.wrapping_sub(GuestCall::Create as u64) as usize) {
            counts[usize::from(status != 0)].fetch_add(1, Relaxed);
        }
    }

    fn breach(&mut self, what: &str) {
        if BREACHES.fetch_add(1, Relaxed) < 10 {
            Test::new("tables").fail(what);
        }
    }

    /// Says how far it is, and at the end whether all was well.
    fn report(&mut self, done: u64) {
        let (wanted, said) = (wanted(), SAID.load(Relaxed));
        if self.vcpu != 0 && done >= wanted {
            parzelle_rt::idle();
        }
        if self.vcpu != 0 || done < (said + 1) * (wanted / 4) {
            return;
        }
        SAID.store(said + 1, Relaxed);
        let arrivals = ARRIVALS.each_ref().map(|count| count.load(Relaxed));
        let [starts, audits, breaches] = [&STARTS, &AUDITS, &BREACHES].map(|count| count.load(Relaxed));
        log::info!("{done} operations, {starts} starts, {audits} audits, {breaches} breaches, arrivals {arrivals:?}");
        let calls = CALLS.each_ref().map(|counts| counts.each_ref().map(|count| count.load(Relaxed)));
        log::info!("calls done, refused: {calls:?}; exceptions {:#x}", VECTORS.load(Relaxed));
        if done < wanted {
            return;
        }
        let mut test = Test::new("tables");
        test.equal("breaches", breaches, 0);
        test.check(audits > 0 || !self.audits, "no audit was made");
        test.verdict();
        let _ = parzelle_rt::ready();
        parzelle_rt::idle()
    }
}

/// Operations that have to be done.
fn wanted() -> u64 {
    Partition::get().config().number("operations").unwrap_or(100_000)
}

/// Makes a call.
pub(crate) fn raw(number: u64, [a, b, c]: [u64; 3]) -> (u64, u64) {
    // SAFETY: the calls that this program makes write to no memory of its own but the vCPU page.
    unsafe { parzelle_sys::call(number, [a, b, c, 0, 0]) }
}
