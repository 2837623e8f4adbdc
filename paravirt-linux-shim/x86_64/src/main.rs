// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The shim of x86-64 guests: loads the guest that the description names, then serves it, on as
//! many vCPUs as its partition has.
//!
//! `config.power-off = "stop-module"`: a guest that powers off ends the module, if its partition has
//! the right to; otherwise only this partition stops.
#![no_std]
#![no_main]

use shim_x86_64::failure::Failure;

parzelle_rt::entry!(main);

fn main() -> Result<(), Failure> {
    shim_x86_64::machine::start()
}
