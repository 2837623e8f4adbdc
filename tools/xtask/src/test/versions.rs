// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Debian's stock kernels in the tests: which there are, descriptions with each of them, and the
//! table of those that booted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Arguments, Tally};
use crate::house::House;
use crate::setup::versions::{Missing, Version, fetch};
use crate::table::Table;

/// The kernel in a description that others take the place of.
const PLACE: &str = "guests/debian-12/{arch}/vmlinuz";
/// What stands for a kernel's name of itself in what is expected.
const RELEASE: &str = "{release}";
/// Where descriptions go: ignored by git, and in it as deep below the root as `tests/systems/NAME`, as
/// paths in a description are relative to it.
const VARIANTS: &str = "target/systems";

/// The kernels, and what became of them.
#[derive(Default)]
pub(super) struct Versions {
    all: Option<Vec<Version>>,
    /// Folder and architecture of those that booted, and of those that did not.
    good: BTreeSet<(String, &'static str)>,
    bad: BTreeSet<(String, &'static str)>,
}

impl Versions {
    /// Fetches them, if all tests are asked for, and says which are not to be had.
    pub(super) fn fetch(house: &House, arguments: &Arguments, tally: &mut Tally) -> Self {
        let wanted = arguments.all && (arguments.wants("host") || arguments.wants("systems/debian-versions"));
        let all = wanted.then(|| fetch(house));
        for version in all.iter().flatten() {
            let name = format!("kernel {} for {}", version.folder(), version.arch);
            match &version.release {
                Ok(_) => {}
                Err(Missing::NotOffered(why)) => tally.skip(&name, why),
                Err(Missing::Broken(why)) => tally.note(&name, Err(why.clone())),
            }
        }
        Self { all, ..Self::default() }
    }

    /// Those of an architecture that are there; `None` if they were not asked for.
    pub(super) fn of(&self, arch: &str) -> Option<Vec<Version>> {
        let all = self.all.as_ref()?;
        Some(all.iter().filter(|version| version.arch == arch && version.release.is_ok()).cloned().collect())
    }

    /// Takes note of a run.
    pub(super) fn note(&mut self, version: &Version, good: bool) {
        let set = if good { &mut self.good } else { &mut self.bad };
        set.insert((version.folder(), version.arch));
    }

    /// Prints what was booted.
    pub(super) fn print(&self) {
        let Some(all) = &self.all else { return };
        let mut table = Table::new(["Debian's kernel", "aarch64", "x86_64"]);
        for version in all.iter().filter(|version| version.arch == "aarch64") {
            let mut cells = vec![format!("{} {}", version.suite, version.flavour)];
            for arch in ["aarch64", "x86_64"] {
                let same = |other: &&Version| other.folder() == version.folder() && other.arch == arch;
                cells.push(all.iter().find(same).map_or_else(String::new, |version| self.cell(version)));
            }
            table.row(cells);
        }
        println!("\nGuest kernels that were booted:\n\n{}", table.set());
    }

    fn cell(&self, version: &Version) -> String {
        let key = (version.folder(), version.arch);
        match &version.release {
            Err(_) => "not there".to_owned(),
            Ok(release) if self.bad.contains(&key) => format!("{release}: FAILED"),
            Ok(release) if self.good.contains(&key) => release.clone(),
            Ok(release) => format!("{release}: not run"),
        }
    }
}

/// Writes a description with another kernel.
pub(super) fn describe(house: &House, system: &str, file: &Path, version: &Version) -> Result<PathBuf> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let folder = house.path(VARIANTS).join(system);
    fs::create_dir_all(&folder)?;
    let variant = folder.join(version.folder()).with_extension("toml");
    let text = substitute(&text, &version.folder()).with_context(|| file.display().to_string())?;
    fs::write(&variant, text).with_context(|| variant.display().to_string())?;
    Ok(variant)
}

/// Puts the kernel of `folder` in the place of the everyday one.
fn substitute(text: &str, folder: &str) -> Result<String> {
    if !text.contains(PLACE) {
        bail!("it has no kernel `{PLACE}` that could be replaced");
    }
    Ok(text.replace(PLACE, &PLACE.replace("debian-12", folder)))
}

/// Puts a kernel's name of itself into the texts that it is expected to print.
pub(super) fn expected(texts: &mut Vec<String>, release: &str) {
    for text in texts {
        *text = text.replace(RELEASE, release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_is_replaced() {
        let text = "kernel = \"../../../.cache/guests/debian-12/{arch}/vmlinuz\"\ninitrd = \"guests/debian-12/x\"\n";
        let wanted = "kernel = \"../../../.cache/guests/sid-cloud/{arch}/vmlinuz\"\ninitrd = \"guests/debian-12/x\"\n";
        assert_eq!(substitute(text, "sid-cloud").unwrap(), wanted);
        assert!(substitute("", "sid-cloud").is_err());
    }

    #[test]
    fn what_is_expected_names_the_kernel() {
        let mut texts = vec!["Linux {release} ".to_owned(), "off".to_owned()];
        expected(&mut texts, "7.0");
        assert_eq!(texts, ["Linux 7.0 ", "off"]);
    }
}
