// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How the kernel is linked: by `kernel.ld`, and without `-pie`, which the target has by default.
//! The compiler's code is position-independent all the same (README.md says why that matters).

fn main() {
    println!("cargo:rerun-if-changed=kernel.ld");
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_OS");
    let folder = std::env::var("CARGO_MANIFEST_DIR");
    if let (Ok("none"), Ok(folder)) = (target.as_deref(), folder) {
        println!("cargo:rustc-link-arg-bins=-T{folder}/kernel.ld");
        println!("cargo:rustc-link-arg-bins=--no-pie");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
