// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Partitions that check, from inside, what the kernel promises. One program with many parts:
//! `config.test` names the one that a partition plays. The part that leads a test gives the verdict
//! and ends the module; the others do what it needs.
#![no_std]
#![no_main]

mod budget;
mod calls;
mod cores;
mod everywhere;
mod health;
#[cfg(feature = "heap")]
mod heap;
mod interrupt;
mod many;
mod modes;
mod ports;
mod schedules;
mod shared;
mod time;
mod windows;

use parzelle_rt::health::{End, finish};
use parzelle_rt::{Error, Partition};

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    match me.config().text("test").unwrap_or("none") {
        "none" => return parzelle_rt::ready(),
        "spin" => budget::spin(),
        "count" => schedules::count(&me)?,
        "every-other" => windows::every_other(&me)?,
        "echo" => shared::echo(&me)?,
        "ports-source" => return ports::source(&me),
        "restarted" => return modes::restarted(&me),
        "victim" => return health::victim(&me),
        "boss" => everywhere::boss(&me)?,
        "everywhere" => return everywhere::lead(&me),
        "heard" => return everywhere::heard(&me),
        "one-of-many" => return many::one(&me),
        "calls" => calls::lead(&me)?,
        "ports" => ports::lead(&me)?,
        "shared" => shared::lead(&me)?,
        "cores" => cores::lead(&me)?,
        "time" => time::lead(&me)?,
        "modes" => modes::lead(&me)?,
        "health" => health::lead(&me)?,
        #[cfg(feature = "heap")]
        "heap" => heap::lead(&me)?,
        "interrupt" => interrupt::lead(&me)?,
        "budget" => budget::lead(&me)?,
        "schedules" => schedules::lead(&me)?,
        "windows" => windows::lead(&me)?,
        "many" => many::lead(&me)?,
        other => log::error!("there is no part `{other}`"),
    }
    finish(End::Stop)
}
