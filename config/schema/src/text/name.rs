// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Names: of a–z, 0–9 and `-`, at most 30 bytes; ports may also have A–Z and `_`.

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Of a partition, a schedule, a link …
    Object,
    /// Of a port.
    Port,
}

impl Name {
    /// The longest name, bytes (ARINC 653's names have 30).
    pub const LONGEST: usize = 30;

    /// Whether a character may stand in such a name.
    pub fn allows(self, c: char) -> bool {
        matches!(c, 'a'..='z' | '0'..='9' | '-') || self == Name::Port && matches!(c, 'A'..='Z' | '_')
    }

    /// Whether this is such a name.
    pub fn holds(self, text: &str) -> bool {
        !text.is_empty() && text.len() <= Self::LONGEST && text.chars().all(|c| self.allows(c))
    }
}

/// The nearest valid name.
pub fn name_made_valid(kind: Name, text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let lower = if kind == Name::Object { c.to_ascii_lowercase() } else { c };
        let c = if kind.allows(lower) { lower } else { '-' };
        if out.len() < Name::LONGEST {
            out.push(c);
        }
    }
    if out.is_empty() { "name".to_owned() } else { out }
}
