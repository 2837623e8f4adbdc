// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's machine: what all vCPUs share, and how it begins and ends.
//!
//! ```text
//!   files ─▶ plan ─▶ domain ─▶ memory written ─▶ tables ─▶ vCPU 0 enters at the kernel's entry
//!                                                           vCPU n: when the guest brings it up
//! ```

use core::sync::atomic::{AtomicBool, Ordering};

use parzelle_rt::abi::health::{Condition, ErrorId, Mode};
use parzelle_rt::health::{self, End};
use parzelle_rt::once::Once as Place;
use parzelle_rt::start::Outcome;
use parzelle_rt::{Partition, VcpuPage, time};
use parzelle_xen::abi::PAGE;
use parzelle_xen::abi::sched::Shutdown;
use parzelle_xen::answer::MemoryFacts;
use parzelle_xen::cpuid::Facts;
use parzelle_xen::domain::{self, Domain, Setup};
use parzelle_xen::events::{Port, VcpuEvents};
use parzelle_xen::memory::Frames;
use parzelle_xen::mmu::Mmu;
use parzelle_xen::notes::Kernel;
use parzelle_xen::start::Entry;
use parzelle_xen::time::{Clock, Scale};
use spin::Once;

use crate::failure::Failure;
use crate::files::Files;
use crate::guarded::null_clears_base;
use crate::loading::{self, Plan};
use crate::ram::{Frame, GuestRam};
use crate::run::Runner;
use crate::vcpu::{VCPUS, register};
use parzelle_shim_backends::devices::grant_frames;
use parzelle_shim_backends::{Devices, GiveWay, Input, Lock, Output};

/// Ports that a guest has: enough for 8 vCPUs and some devices.
const PORTS: usize = 256;

/// What all vCPUs share.
pub struct Shared {
    /// The guest's memory.
    pub ram: GuestRam,
    /// Its page tables.
    pub mmu: Lock<Mmu<'static>>,
    /// All that is neither tables nor processor state.
    pub domain: Domain<'static, Frame, GiveWay>,
    /// What it may know of the processor.
    pub facts: Facts,
    /// How many vCPUs it has.
    pub vcpus: u32,
    /// Its console's output.
    pub output: Lock<Output>,
    /// Its console's input.
    pub input: Lock<Input>,
    /// The events that say that there is input, as a mask; they come to vCPU 0.
    pub input_events: u64,
    /// Its disks and network ports.
    pub devices: &'static Devices<Frame>,
    /// The pool for tables was used up: that was said.
    exhausted: AtomicBool,
}

static SHARED: Once<Shared> = Once::new();
static PORT: [Port; PORTS] = [const { Port::new() }; PORTS];
static CHANNELS: [VcpuEvents<Frame>; VCPUS] = [const { VcpuEvents::new() }; VCPUS];
static VCPU: [domain::Vcpu<GiveWay>; VCPUS] = [const { domain::Vcpu::new() }; VCPUS];
static CORES: Once<[u8; 8]> = Once::new();
static DEVICES: Devices<Frame> = Devices::new();
static RUNNERS: [Place<Option<Runner>>; VCPUS] = [const { Place::new(None) }; VCPUS];

/// Starts the guest; on success never returns.
///
/// # Errors
/// Why that is impossible.
pub fn start() -> Result<(), Failure> {
    let me = Partition::get();
    let Files { ram, kernel, initrd, command_line, cores } = Files::take().ok_or(Failure::NoGuest)?;
    let vcpus = me.vcpus().clamp(1, VCPUS as u32);
    let kernel = Kernel::parse(kernel)?;
    let command_line = loading::command_line(command_line);
    let mut plan = Plan::of(&kernel, initrd, command_line.as_bytes(), &ram)?;
    let (frequency, zero, _) = VcpuPage::first().counter();
    let scale = Scale::of_frequency(frequency).ok_or(Failure::NoGuest)?;
    let clock = Clock { zero, offset: 0, scale, stable: true };
    let setup = Setup {
        shared_info: ram.page(ram.shared_info()).ok_or(Failure::NoGuest)?,
        console: ram.page(plan.console()),
        ports: &PORT,
        channels: CHANNELS.get(..vcpus as usize).unwrap_or(&CHANNELS),
        vcpus: VCPU.get(..vcpus as usize).unwrap_or(&VCPU),
        cores: CORES.call_once(|| cores).get(..vcpus as usize).unwrap_or_default(),
        clock,
        wall_clock: 0,
        memory: MemoryFacts {
            frames: ram.told(),
            machine_to_physical: ram.machine_to_physical_address(),
            machine_frames: ram.frames(),
        },
        queues: true,
        grants: Some(grant_frames(&me)).filter(|n| *n > 0).map(|n| DEVICES.grants(n, Some(ram.grants()))),
    };
    let domain = Domain::new(setup).map_err(|_| Failure::NoGuest)?;
    let devices = &DEVICES;
    devices.find(&me, vcpus, ram.page(plan.store()), domain.channels())?;
    let entry = plan.write(&ram, initrd, domain.console_port(), devices.store_port())?;
    plan.shorten_return(&ram, crate::run::direct_return());
    if me.may_tune() && !plan.tune(&ram) {
        log::info!("shim: `tune` does not know this kernel, which stays as it is");
    }
    // What was typed to the guest that was here before is not for this one.
    let input = Input::find(&me, VcpuPage::first().condition() != Condition::NormalStart);
    let facts = Facts {
        vcpu: 0,
        // The kernel keeps what FXSAVE saves.
        xcr0: 0,
        osxsave: false,
        counter_frequency: frequency,
        scale,
        counter_is_stable: true,
        null_clears_base: null_clears_base(),
    };
    let shared = SHARED.call_once(|| Shared {
        mmu: Lock::new(Mmu::new(ram.take_book(), vcpus)),
        ram,
        domain,
        facts,
        vcpus,
        output: Lock::new(Output::new()),
        devices,
        exhausted: AtomicBool::new(false),
        input_events: input.events,
        input: Lock::new(input),
    });
    first(shared, entry)
}

/// vCPU 0.
fn first(shared: &'static Shared, entry: Entry) -> Result<(), Failure> {
    let runner = prepare(shared, 0)?;
    let Entry { rip, rsp, rsi, root } = entry;
    match runner.space.turn(|turn| turn.start(root / PAGE)) {
        Some(Ok(())) => {}
        _ => return Err(Failure::Tables),
    }
    runner.first_segments();
    runner.vcpu.rip = rip;
    runner.vcpu.general[register::RSP] = rsp;
    runner.vcpu.general[register::RSI] = rsi;
    parzelle_rt::ready()?;
    runner.live()
}

/// The others, when the guest brings them up.
pub(crate) extern "C" fn other(index: u64) -> ! {
    let begun = SHARED.get().ok_or(Failure::NoGuest).and_then(|shared| {
        let runner = prepare(shared, index as u32)?;
        match shared.domain.begin(index as u32, &runner.host, |context| *context) {
            Some(context) => runner.adopt(&context)?,
            None => time::idle(),
        }
        Ok(runner)
    });
    match begun {
        Ok(runner) => runner.live(),
        Err(failure) => {
            Err::<(), _>(failure).conclude();
            time::idle()
        }
    }
}

/// A vCPU before its first instruction. Asks for events, which then come to the vectors.
fn prepare(shared: &'static Shared, index: u32) -> Result<&'static mut Runner, Failure> {
    let place = RUNNERS.get(index as usize).and_then(Place::take).ok_or(Failure::NoGuest)?;
    let runner = place.insert(Runner::new(shared, index).ok_or(Failure::NoGuest)?);
    runner.ask_for_events()?;
    Ok(runner)
}

/// The pool for tables is used up, which is said once: the guest will not get far. If the health
/// monitor lets it go on, the guest is told that there is no memory.
#[cold]
pub(crate) fn tables_are_exhausted(shared: &Shared) {
    if shared.exhausted.swap(true, Ordering::Relaxed) {
        return;
    }
    let (tables, _) = shared.mmu.lock().tables();
    let mut output = shared.output.lock();
    output.say(format_args!("the guest's {tables} page tables fill their pool: raise `page-tables`"));
    drop(output);
    // Without an error for a message of this length.
    let _ = health::raise(ErrorId::ApplicationError, b"the guest's page tables fill their pool: raise `page-tables`");
}

/// The guest has ended itself.
pub(crate) fn ended(shared: &Shared, reason: Shutdown) -> Result<(), Failure> {
    shared.output.lock().end_line();
    match reason {
        Shutdown::PowerOff => {
            log::info!("guest powered off");
            if Partition::get().config().text("power-off") == Some("stop-module") {
                health::finish(End::Stop);
            }
            health::set_mode(Mode::Idle)?;
        }
        Shutdown::Reboot | Shutdown::SoftReset => {
            log::info!("guest resets its machine");
            health::set_mode(Mode::ColdStart)?;
        }
        Shutdown::Suspend | Shutdown::Crash | Shutdown::Watchdog => return Err(Failure::Crashed),
    }
    time::idle()
}

/// Says what is known of a guest's end, and has it dealt with.
#[cold]
pub(crate) fn fail(runner: &mut Runner, failure: &Failure) -> ! {
    let shared = runner.shared;
    let mut output = shared.output.lock();
    runner.vcpu.report(&mut output);
    output.end_line();
    drop(output);
    Err::<(), _>(*failure).conclude();
    time::idle()
}
