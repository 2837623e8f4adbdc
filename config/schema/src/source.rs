// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The texts that were read, and places in them.
//!
//! Every value that a user can be told about remembers its [`Place`]: which file, which bytes.
//! Places are small and [`Copy`], so that the types of the description can carry them everywhere.

use std::ops::Range;

/// A file of a [`Sources`], by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// Some bytes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Place {
    /// Makes a place from a byte range, which is cut to 4 GiB.
    pub fn new(file: FileId, span: Range<usize>) -> Self {
        let cut = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file, start: cut(span.start), end: cut(span.end.max(span.start)) }
    }

    /// The bytes as a range into the file's text.
    pub fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// A part of this place: `within` counts from its first byte and is clamped to its end.
    pub fn part(self, within: Range<usize>) -> Self {
        let cut = |n: usize| self.start.saturating_add(u32::try_from(n).unwrap_or(u32::MAX)).min(self.end);
        Place { file: self.file, start: cut(within.start), end: cut(within.end.max(within.start)) }
    }
}

/// A value and where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At<T> {
    /// What is written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> At<T> {
    /// Joins a value and its place.
    pub fn new(value: T, place: Place) -> Self {
        At { value, place }
    }

    /// Changes the value, not the place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), place: self.place }
    }
}

/// One file that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as it is shown to the user.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// All files that were read, in the order of reading: the description is the first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Keeps a text under the path that users will see.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<String>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source { path: path.into(), text: text.into() });
        id
    }

    /// The path of a file, as shown.
    pub fn path(&self, id: FileId) -> &str {
        self.files.get(id.0 as usize).map_or("", |f| &f.path)
    }

    /// The text of a file.
    pub fn text(&self, id: FileId) -> &str {
        self.files.get(id.0 as usize).map_or("", |f| &f.text)
    }

    /// What is written at a place; empty if the place is not in the text.
    pub fn at(&self, place: Place) -> &str {
        self.text(place.file).get(place.span()).unwrap_or("")
    }

    /// Line and column (both from 1, columns in characters) of a place's first byte.
    pub fn line_column(&self, place: Place) -> (usize, usize) {
        let text = self.text(place.file);
        let mut start = (place.start as usize).min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line = before.matches('\n').count() + 1;
        let head = before.rfind('\n').map_or(0, |n| n + 1);
        (line, before[head..].chars().count() + 1)
    }
}
