// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Names of nodes.

use heapless::Vec;

use super::{HOME, Refusal};

/// Bytes of a path.
pub const PATH: usize = 128;

/// A path from the root, checked: `/name/name`, or `/`. Or the name of something that is no node
/// (`@releaseDomain`), which can be watched and never changes here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    text: Vec<u8, PATH, u8>,
    /// The guest has named it from its [`HOME`] on.
    pub(super) relative: bool,
}

impl Path {
    /// Nothing's.
    pub(super) const fn new() -> Self {
        Self { text: Vec::new(), relative: false }
    }

    /// A path as a guest writes it: from the root, or from its home on.
    ///
    /// # Errors
    /// [`Refusal::Invalid`]: nobody could mean that, or it is too long.
    pub fn of(name: &[u8]) -> Result<Self, Refusal> {
        let relative = !matches!(name.first(), Some(b'/' | b'@'));
        let mut text = Vec::new();
        if relative {
            text.extend_from_slice(HOME.as_bytes()).map_err(|_| Refusal::Invalid)?;
            text.push(b'/').map_err(|_| Refusal::Invalid)?;
        }
        text.extend_from_slice(name).map_err(|_| Refusal::Invalid)?;
        let whole =
            text == b"/" || name.first() == Some(&b'@') || text.split(|byte| *byte == b'/').skip(1).all(is_name);
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-/_@".contains(byte);
        if whole && text.iter().all(allowed) { Ok(Self { text, relative }) } else { Err(Refusal::Invalid) }
    }

    /// From the root on.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The names that it is made of.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// Whether it is `other`, or below it.
    #[must_use]
    pub fn is_within(&self, other: &[u8]) -> bool {
        match self.text.strip_prefix(other) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/") || other == b"/",
            None => false,
        }
    }

    /// Whether it is below `other`.
    #[must_use]
    pub fn is_below(&self, other: &[u8]) -> bool {
        self.text != other && self.is_within(other)
    }

    /// As whoever said `relative` calls it.
    pub(super) fn as_called(&self, relative: bool) -> &[u8] {
        let below = self.text.strip_prefix(HOME.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        below.filter(|_| relative).unwrap_or(&self.text)
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
}
