// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Names that fit a record.

use parzelle_abi::info::{NAME, Name};

/// Packs a name; what is longer than a record holds is cut (descriptions can't have such names:
/// PZ0009).
pub(crate) fn name(text: &str) -> Name {
    let mut end = text.len().min(NAME - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Name::new(text.get(..end).unwrap_or("")).unwrap_or(Name([0; NAME]))
}
