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
use parzelle_shim_backends::Lock;
use parzelle_shim_backends::{Input, Output};
use parzelle_shim_board::machine::Vmm;
use parzelle_shim_board::map::MAX_VCPUS;
use parzelle_shim_board::psci::Start;
use parzelle_shim_board::sysreg::Features;
use shim_aarch64::board::{Board, Shared};
use shim_aarch64::failure::Failure;
use shim_aarch64::files::Files;
use shim_aarch64::loading::load;
use shim_aarch64::run::{End, Runner};
use spin::Once;

parzelle_rt::entry!(main);

/// What all vCPUs share; vCPU 0 has put it here before it starts the others.
static SHARED: Once<Shared> = Once::new();

fn main() -> Result<(), Failure> {
    let me = Partition::get();
    let vcpus = (me.vcpus() as usize).min(MAX_VCPUS);
    let Files { mut ram, kernel, initrd, cmdline, cores } = Files::take().ok_or(Failure::NoGuest)?;
    let at = ram.at;
    let start = load(ram.bytes(), at, kernel, initrd, cmdline, vcpus)?;
    // What was typed to the guest that was here before is not for this one.
    let input = Input::find(&me, VcpuPage::first().condition() != Condition::NormalStart);
    let input_events = input.events;
    // No pointer authentication where identification registers trap: see `Io::identification`.
    let vmm = Vmm::new(vcpus, at, Features::default());
    let board = Lock::new(Board { vmm, output: Output::new(), input, over: false });
    let shared = SHARED.call_once(|| Shared { board, ram, input_events, cores, vcpus });
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
