// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Passes the linker script on.

fn main() {
    println!("cargo::rerun-if-changed=kernel.ld");
    if let Ok(folder) = std::env::var("CARGO_MANIFEST_DIR") {
        println!("cargo::rustc-link-arg-bins=-T{folder}/kernel.ld");
    }
}
