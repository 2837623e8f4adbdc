// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The files outside of `kernel/arch` and `bsp` that may contain unsafe code, and why each has to.
//!
//! A file that ends in `/` stands for all below it. Whoever adds a line here has to say what safe
//! interface the file puts around its unsafe code.

/// File, and what it wraps.
const LIST: [(&str, &str); 1] = [("partitions/sys/", "the instruction of a kernel call")];

/// Why a file may contain unsafe code, if it may.
pub(super) fn why(file: &str) -> Option<&'static str> {
    let entry = LIST.iter().find(|(name, _)| {
        if name.ends_with('/') {
            file.starts_with(name)
        } else {
            file == *name
        }
    });
    entry.map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_covers_its_files() {
        assert!(why("partitions/sys/src/lib.rs").is_some());
        assert!(why("kernel/core/src/lib.rs").is_none());
    }
}
