// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A native partition: says who it is, then counts the seconds.
#![no_std]
#![no_main]

use parzelle_rt::time::{Periodic, SECOND};
use parzelle_rt::{Error, Partition, now};

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    log::info!("hello, I am `{}`, and it is {} ns since boot", me.name(), now());
    parzelle_rt::ready()?;
    let mut second = Periodic::new(SECOND);
    for count in 1u64.. {
        second.wait(0);
        log::info!("{count} s");
    }
    Ok(())
}
