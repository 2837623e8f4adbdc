// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What runs while the harness counts the instructions of paths through the kernel, by a trace of
//! the emulator. Nothing is measured here: the roles take care that it is known, by the order of
//! calls and interrupts, which path is which.
//!
//! | `config.role` | what it does |
//! |---|---|
//! | `control` | marks the begin by a call, lets its windows pass without any, ends the module |
//! | `spin` | computes, without a call |
//! | `rest` | waits, for ever |
//! | `call`, `ring`, `answer`, `restart` | load: calls, doorbells to and fro, restarts |
//! | `lead`, `woken` | rings and sends to another core, and is woken there: see `across.rs` |
#![no_std]
#![no_main]

mod across;
mod load;

use parzelle_rt::health::{End, end_module};
use parzelle_rt::{Error, Partition, VcpuPage};

parzelle_rt::entry!(main);

/// Windows of `control` before the mark: everybody has started by then.
const BEFORE: u32 = 3;
/// Windows between the mark and the end.
const COUNTED: u32 = 8;

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let role = me.config().text("role").unwrap_or("rest");
    parzelle_rt::ready()?;
    match role {
        "control" => control(),
        "spin" => spin_for_ever(),
        "yield" => loop {
            core::hint::spin_loop();
        },
        "call" => load::call(&me),
        "ring" => load::ring(&me),
        "answer" => load::answer(&me),
        "restart" => load::restart(),
        "lead" => across::lead(&me),
        "woken" => across::woken(&me),
        _ => parzelle_rt::idle(),
    }
}

/// Between the two last calls of its core there are the windows' interrupts, and nothing else.
fn control() -> Result<(), Error> {
    pass(BEFORE);
    parzelle_rt::call::revision()?;
    pass(COUNTED);
    end_module(End::Stop)
}

/// Lets windows pass without a call: when the current one began stands in the vCPU page.
fn pass(windows: u32) {
    let page = VcpuPage::first();
    for _ in 0..windows {
        let before = page.window_start();
        while page.window_start() == before {
            core::hint::black_box(());
        }
    }
}

/// Computes.
fn spin_for_ever() -> ! {
    loop {
        core::hint::black_box(());
    }
}

/// Computes for about so many instructions, without a call.
fn spin(instructions: u32) {
    for _ in 0..instructions / 3 {
        core::hint::black_box(());
    }
}
