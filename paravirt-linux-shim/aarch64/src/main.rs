// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The shim of arm64 guests: loads the guest that the description names, then serves it, on as many
//! vCPUs as its partition has.
//!
//! `config.power-off = "stop-module"`: a guest that powers off ends the module, if its partition has
//! the right to; otherwise only this partition stops.
#![no_std]
#![no_main]

use parzelle_rt::abi::health::{Condition, Mode};
use parzelle_rt::start::Outcome;
use parzelle_rt::{Partition, VcpuPage, health, time, vcpu};
use parzelle_shim_backends::{Input, Lock, Output};
use parzelle_shim_board::machine::Vmm;
use parzelle_shim_board::map::MAX_VCPUS;
use parzelle_shim_board::psci::Start;
use parzelle_shim_board::sysreg::Features;
use parzelle_shim_board::xen::{self, Pages};
use shim_aarch64::board::{Board, Shared};
use shim_aarch64::failure::Failure;
use shim_aarch64::files::Files;
use shim_aarch64::loading::load;
use shim_aarch64::run::{End, Runner};
use shim_aarch64::xen::Xen;
use spin::Once;

parzelle_rt::entry!(main);

/// What all vCPUs share; vCPU 0 has put it here before it starts the others.
static SHARED: Once<Shared> = Once::new();

/// The core of each vCPU.
static CORES: Once<[u8; 8]> = Once::new();

fn main() -> Result<(), Failure> {
    let me = Partition::get();
    let vcpus = (me.vcpus() as usize).min(MAX_VCPUS);
    let Files { mut ram, kernel, initrd, cmdline, cores } = Files::take().ok_or(Failure::NoGuest)?;
    let at = ram.at;
    // Who gains nothing from Xen's interface doesn't get it.
    let pages = (me.links_used().next().is_some() || xen::is_wanted(cmdline)).then(|| Pages::of(at)).flatten();
    let start = load(ram.bytes(), at, kernel, initrd, cmdline, vcpus, pages.as_ref())?;
    // What was typed to the guest that was here before is not for this one.
    let input = Input::find(&me, VcpuPage::first().condition() != Condition::NormalStart);
    let to_xen = pages.is_some() && xen::wants_console(cmdline);
    let (input, xen_input) = if to_xen { (Input::none(), Some(input)) } else { (input, None) };
    let input_events = input.events;
    let (frequency, ..) = VcpuPage::first().counter();
    let cores = CORES.call_once(|| cores);
    let xen = match pages {
        Some(pages) => {
            let cores = cores.get(..vcpus).ok_or(Failure::NoGuest)?;
            Some(Xen::new(&me, &ram, pages, cores, frequency, xen_input)?)
        }
        None => None,
    };
    // No pointer authentication where identification registers trap: see `Io::identification`.
    let vmm = Vmm::new(vcpus, at, Features::default());
    let vmm = if xen.is_some() { vmm.with_xen() } else { vmm };
    let board = Lock::new(Board { vmm, output: Output::new(), input, over: false });
    let shared = SHARED.call_once(|| Shared { board, ram, input_events, xen, cores: *cores, vcpus });
    for n in 1..vcpus as u32 {
        vcpu::start(n, other, u64::from(n))?;
    }
    parzelle_rt::ready()?;
    live(shared, 0, Some(Start { entry: start.entry, context: start.device_tree }))
}

/// vCPUs 1 and up.
extern "C" fn other(index: u64) -> ! {
    let shared = SHARED.get().ok_or(Failure::NoGuest);
    shared.and_then(|shared| live(shared, index as usize, None)).conclude();
    time::idle()
}

/// Runs a vCPU to the end of the guest, and says how that was.
fn live(shared: &'static Shared, index: usize, start: Option<Start>) -> Result<(), Failure> {
    match Runner::new(shared, index)?.run(start)? {
        End::PowerOff => {
            log::info!("guest powered off");
            if Partition::get().config().text("power-off") == Some("stop-module") {
                health::finish(health::End::Stop);
            }
            health::set_mode(Mode::Idle)?;
        }
        End::Reset => {
            log::info!("guest resets its machine");
            health::set_mode(Mode::ColdStart)?;
        }
    }
    Ok(())
}
