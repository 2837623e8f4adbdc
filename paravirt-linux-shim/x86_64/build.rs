// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How the shim is linked: by `shim.ld`, at an address that only position-independent code reaches,
//! and without `-pie`: there are no relocations to apply at the start.

fn main() {
    println!("cargo:rerun-if-changed=shim.ld");
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_OS");
    let folder = std::env::var("CARGO_MANIFEST_DIR");
    if let (Ok("none"), Ok(folder)) = (target.as_deref(), folder) {
        println!("cargo:rustc-link-arg-bins=-T{folder}/shim.ld");
        println!("cargo:rustc-link-arg-bins=--no-pie");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
