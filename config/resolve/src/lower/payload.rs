// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The payload: what the image carries behind the plan, page by page. Equal parts are stored once:
//! partitions of one program share its read-only pages.

use parzelle_abi::PAGE;
use std::collections::HashMap;

/// A part of the payload.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// From the payload's start.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: u64,
}

/// Collects the parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    parts: Vec<Part>,
    known: HashMap<(u64, usize), usize>,
    bytes: u64,
}

impl Payload {
    /// Adds bytes, padded to whole pages; returns their offset and the size with the padding.
    pub(crate) fn add(&mut self, name: &str, mut bytes: Vec<u8>) -> (u64, u64) {
        bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
        let digest = parzelle_plan::digest(&bytes);
        let size = bytes.len() as u64;
        let key = (digest, bytes.len());
        let same = self.known.get(&key).and_then(|&index| self.parts.get(index));
        if let Some(part) = same.filter(|part| part.bytes == bytes) {
            return (part.offset, size);
        }
        let offset = self.bytes;
        self.known.insert(key, self.parts.len());
        self.parts.push(Part { name: name.to_owned(), offset, bytes, digest });
        self.bytes += size;
        (offset, size)
    }

    /// Replaces the bytes of the part at an offset by others, of as many pages.
    pub(crate) fn replace(&mut self, offset: u64, mut bytes: Vec<u8>) {
        let Some(part) = self.parts.iter_mut().find(|part| part.offset == offset) else {
            return;
        };
        bytes.resize(part.bytes.len(), 0);
        part.digest = parzelle_plan::digest(&bytes);
        part.bytes = bytes;
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Bytes of all parts together.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_are_stored_once() {
        let mut payload = Payload::default();
        assert_eq!(payload.add("a", vec![1; 10]), (0, PAGE));
        assert_eq!(payload.add("b", vec![2; 5000]), (PAGE, 2 * PAGE));
        assert_eq!(payload.add("c", vec![1; 10]), (0, PAGE));
        assert_eq!(payload.bytes(), 3 * PAGE);
    }
}
