// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Clients of driver partitions. One program with many parts: `config.test` names the one that a
//! partition plays. Those that lead wait for the others (a queuing port `done` each way) and end the
//! module.
#![no_std]
#![no_main]

mod disk;
mod done;
mod network;
mod pattern;

use parzelle_rt::{Error, Partition};

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    parzelle_rt::ready()?;
    match me.config().text("test").unwrap_or("none") {
        "disk" => disk::load(&me)?,
        "reader" => disk::reader(&me)?,
        "network" => network::lead(&me)?,
        "peer" => network::peer(&me)?,
        "outsider" => network::outsider(&me)?,
        "outside" => network::outside(&me)?,
        "none" => {}
        other => log::error!("there is no part `{other}`"),
    }
    done::done(&me)
}
