// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The shim of arm64 guests: loads the guest that the description names, then serves it.
//!
//! `config.power-off = "stop-module"`: a guest that powers off ends the module, if its partition has
//! the right to; otherwise only this partition stops.
#![no_std]
#![no_main]

use parzelle_rt::abi::health::{Condition, Mode};
use parzelle_rt::{Partition, VcpuPage, health};
use parzelle_shim_board::machine::Vmm;
use parzelle_shim_board::sysreg::Features;
use shim_aarch64::failure::Failure;
use shim_aarch64::files::Files;
use shim_aarch64::input::Input;
use shim_aarch64::loading::load;
use shim_aarch64::output::Output;
use shim_aarch64::run::{End, Runner};
use shim_aarch64::vcpu::Vcpu;

parzelle_rt::entry!(main);

/// How many vCPUs the guest sees. More of them take a lock around the board and a loop like
/// [`Runner::run`] on each vCPU of the partition.
const VCPUS: usize = 1;

fn main() -> Result<(), Failure> {
    let me = Partition::get();
    let Files { mut ram, kernel, initrd, cmdline } = Files::take().ok_or(Failure::NoGuest)?;
    let at = ram.at;
    let start = load(ram.bytes(), at, kernel, initrd, cmdline, VCPUS)?;
    if me.vcpus() as usize > VCPUS {
        log::warn!("the guest gets one processor: more of them are not supported yet");
    }
    parzelle_rt::ready()?;

    let page = VcpuPage::first();
    let mut vcpu = Vcpu::first(&page).ok_or(Failure::NoGuest)?;
    vcpu.reset(start.entry, start.device_tree);
    let mut runner = Runner {
        // No pointer authentication where identification registers trap: see `Io::identification`.
        vmm: Vmm::new(VCPUS, at, Features::default()),
        output: Output::new(),
        // What was typed to the guest that was here before is not for this one.
        input: Input::find(&me, page.condition() != Condition::NormalStart),
        page,
        ram,
    };
    match runner.run(&mut vcpu)? {
        End::PowerOff => {
            log::info!("guest powered off");
            if me.config().text("power-off") == Some("stop-module") {
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
