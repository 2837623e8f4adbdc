// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the tests of the checker share: this tree, with crates that no build has to exist for.

use std::path::{Path, PathBuf};

use parzelle_resolve::environment::{Crates, Environment, Metadata, Package};

/// The source tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The boards of this tree, and a few crates.
pub(crate) fn environment() -> Environment {
    let package = |name: &str| Package {
        name: name.to_owned(),
        manifest: PathBuf::from(format!("{name}/Cargo.toml")),
        bins: vec![name.to_owned()],
        features: vec!["fast".to_owned()],
        metadata: Metadata::default(),
    };
    let names = ["control", "hello", "monitor", "crasher", "reporter", "telemetry", "shim-aarch64", "shim-x86_64"];
    let mut packages: Vec<Package> = names.map(package).to_vec();
    packages
        .push(Package { metadata: Metadata { stack: Some(16 << 10), ..Metadata::default() }, ..package("display") });
    let serving = |name: &str, kind: &str, dma| Package {
        metadata: Metadata { serves: vec![kind.to_owned()], dma_memory: dma, ..Metadata::default() },
        ..package(name)
    };
    packages.push(serving("console", "console", None));
    packages.push(serving("block", "block", Some(64 << 10)));
    packages.push(serving("net", "network", Some(128 << 10)));
    packages.push(Package { bins: Vec::new(), ..package("library") });
    let wrong = vec![("stack".to_owned(), "wants a size such as \"64KiB\"")];
    packages.push(Package { metadata: Metadata { wrong, ..Metadata::default() }, ..package("careless") });
    Environment::with_crates(root(), Crates::Fixed(packages))
}
