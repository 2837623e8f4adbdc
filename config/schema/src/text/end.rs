// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ends of links: `"partition"`, `"partition.port"`, `"*"`.

use std::ops::Range;

/// An end of a link. The names are not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The partition, or `*`.
    pub partition: String,
    /// The port, if it is named otherwise than the link.
    pub port: Option<String>,
}

impl End {
    /// Splits at the first dot. Cannot fail: what is wrong with the names is found later.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some((partition, port)) => End { partition: partition.to_owned(), port: Some(port.to_owned()) },
            None => End { partition: text.to_owned(), port: None },
        }
    }

    /// The bytes of the partition's name within the text.
    pub fn partition_column(&self) -> Range<usize> {
        0..self.partition.len()
    }

    /// The bytes of the port's name within the text.
    pub fn port_column(&self) -> Range<usize> {
        let start = self.partition.len() + 1;
        start..start + self.port.as_ref().map_or(0, String::len)
    }
}
