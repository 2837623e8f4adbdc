// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The form of a file: that it is TOML (PZ0001) and gives no key twice (PZ0003).

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Place, Sources};
use crate::tree::{self, Table};

/// Reads a file. `None` if it is not TOML, and then nothing follows from it.
pub fn read(sources: &Sources, file: FileId, out: &mut Vec<Diagnostic>) -> Option<Table> {
    let text = sources.text(file);
    let (table, errors) = tree::parse(file, text);
    let mut broken = false;
    // The head of a table that is given twice: its keys are no second mistake.
    let mut again_from: Option<usize> = None;
    for (message, place) in errors {
        if message.starts_with("duplicate key") {
            let head = head_before(text, place.start as usize);
            if head.is_some() && head == again_from {
                continue;
            }
            if head.is_some_and(|at| text[at..place.start as usize].lines().count() <= 1) {
                again_from = head;
            }
            let key = sources.at(place).to_owned();
            let first = first_use(text, file, place);
            out.push(
                Diagnostic::error("PZ0003", format!("`{key}` is given twice"), place, "again here")
                    .counter_if(first, "first here")
                    .help("remove one of them"),
            );
        } else if !broken {
            broken = true;
            syntax(sources, file, out);
        }
    }
    if broken { None } else { Some(table) }
}

/// Errors of syntax that are reported at most: who has more has given the wrong file.
const MOST: usize = 5;

/// Reports errors of syntax (PZ0001): after each, the rest is read as if its line were empty.
/// Where a bracket is open, nothing can be said of the rest.
fn syntax(sources: &Sources, file: FileId, out: &mut Vec<Diagnostic>) {
    let text = sources.text(file);
    let mut rest = text.to_owned();
    let mut least = 0;
    for _ in 0..MOST {
        let (_, errors) = tree::parse(file, &rest);
        let next = errors.into_iter().find(|(m, p)| !m.starts_with("duplicate key") && p.start as usize >= least);
        let Some((message, place)) = next else { return };
        let place = visible(text, place);
        let start = place.start as usize;
        let open = opened(text, file, place);
        let mut d = Diagnostic::error("PZ0001", format!("this is not TOML: {message}"), place, "reading stopped here")
            .counter_if(open, "opened here");
        if text.get(..start).is_some_and(in_window) {
            d = d.note("a table inside of a list stays on one line");
        }
        out.push(d);
        let line = text[..start].rfind('\n').map_or(0, |n| n + 1);
        let end = text[start..].find('\n').map_or(text.len(), |n| start + n);
        if open.is_some() && !text[line..start].contains('"') || end <= line {
            return;
        }
        rest.replace_range(line..end, &" ".repeat(end - line));
        least = end;
    }
}

/// The start of the line with the head `[…]` of the table around a place.
fn head_before(text: &str, at: usize) -> Option<usize> {
    let line = text.get(..at)?.rfind('\n').map_or(0, |n| n + 1);
    if text.get(line..)?.trim_start().starts_with('[') {
        return Some(line);
    }
    text.get(..line)?.rfind("\n[").map(|n| n + 1)
}

/// A place that can be shown: inside of the text, on a character's boundary.
fn visible(text: &str, place: Place) -> Place {
    let mut start = (place.start as usize).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (place.end as usize).clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    Place::new(place.file, start..end)
}

/// Whether a text ends inside of a window's braces.
fn in_window(before: &str) -> bool {
    before
        .rfind('{')
        .is_some_and(|open| before.rfind('}').is_none_or(|close| close < open) && before[open..].contains('\n'))
}

/// The innermost bracket or quote that is open at a place.
fn opened(text: &str, file: FileId, place: Place) -> Option<Place> {
    let stop = (place.start as usize).min(text.len());
    let mut open: Vec<usize> = Vec::new();
    let mut quote: Option<(u8, usize)> = None;
    let mut comment = false;
    for (at, byte) in text.bytes().enumerate().take(stop) {
        match (byte, quote) {
            (b'\n', _) => (quote, comment) = (None, false),
            _ if comment => {}
            (b, Some((q, _))) if b == q => quote = None,
            (_, Some(_)) => {}
            (b'"' | b'\'', None) => quote = Some((byte, at)),
            (b'#', None) => comment = true,
            (b'[' | b'{', None) => open.push(at),
            (b']' | b'}', None) => {
                open.pop();
            }
            _ => {}
        }
    }
    let at = quote.map(|(_, at)| at).or(open.last().copied())?;
    (at != stop).then(|| Place::new(file, at..at + 1))
}

/// Where a key that is given again was given first: by reading what stands before it.
fn first_use(text: &str, file: FileId, again: Place) -> Option<Place> {
    let start = again.start as usize;
    let line = text.get(..start)?.rfind('\n').map_or(0, |n| n + 1);
    let before = text.get(..line)?;
    let (tree, _) = tree::parse(file, before);
    let written = text.get(line..again.end as usize)?;
    let mut path: Vec<String> = Vec::new();
    if written.trim_start().starts_with('[') {
        path.extend(words(written.trim_start().trim_start_matches('[')));
    } else {
        let head = before.lines().rev().find(|l| {
            l.trim_start().starts_with('[') && !l.contains('{') && l.trim_end().ends_with(']') && !l.contains('=')
        });
        if let Some(head) = head {
            path.extend(words(head.trim().trim_matches(|c| c == '[' || c == ']')));
        }
        path.extend(words(written));
    }
    let (last, parents) = path.split_last()?;
    let mut at = &tree;
    for key in parents {
        at = at.table(key)?;
    }
    at.entry(last).map(|(key, _)| key.place)
}

fn words(dotted: &str) -> impl Iterator<Item = String> + '_ {
    dotted.split('.').map(|w| w.trim().trim_matches('"').to_owned())
}
