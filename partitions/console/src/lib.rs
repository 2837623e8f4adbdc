// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console's logic: from the members' log rings to one serial line.
//!
//! ```text
//!   ring of `control` ─┐   turns of at most QUANTUM bytes each,
//!   ring of `monitor` ─┼─► whole lines, tagged: "[control] …"  ─► UART
//!   ring of `debian`  ─┘   what stays without a line end for a
//!                          while (a prompt) goes out as it is
//! ```
//! A line that was begun stays *open* for its member, so that a shell echoes as one types. When
//! somebody else has something to say, the open line is ended first, and its member goes on with a
//! tag of its own. Whoever talks too much loses his own text, not that of others: rings are
//! lossy, and each turn is bounded.
#![no_std]

use parzelle_rt::ring::Reader;
use parzelle_rt::time::MILLISECOND;

/// Bytes that a member prints in one turn.
pub const QUANTUM: usize = 512;

/// After so long (ns) a line without an end is printed as far as it goes.
pub const PATIENCE: u64 = 20 * MILLISECOND;

/// Where bytes go.
pub trait Sink {
    /// Prints bytes.
    fn put(&mut self, bytes: &[u8]);
}

/// Somebody whose log is printed.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    name: &'static str,
    reader: Reader,
    /// Length of the unfinished line when it was last looked at, and when it got that long.
    unfinished: usize,
    since: u64,
}

impl Member {
    /// Takes a member's ring.
    pub fn new(name: &'static str, reader: Reader) -> Self {
        Self { name, reader, unfinished: 0, since: 0 }
    }

    /// How much of `text` may be printed now, when the line isn't open: whole lines, or all of it
    /// if it is long or has waited long enough. Otherwise 0 and the time to look again.
    fn printable(&mut self, text: &[u8], now: u64) -> (usize, Option<u64>) {
        if let Some(end) = text.iter().rposition(|&byte| byte == b'\n') {
            return (end + 1, Some(now));
        }
        if text.len() == QUANTUM {
            return (QUANTUM, Some(now));
        }
        if text.len() != self.unfinished {
            (self.unfinished, self.since) = (text.len(), now);
        }
        let due = self.since + PATIENCE;
        if now >= due { (text.len(), None) } else { (0, Some(due)) }
    }
}

/// The members, whose turn it is, and whose line is open.
#[derive(Debug)]
pub struct Console<'a> {
    members: &'a mut [Member],
    first: usize,
    open: Option<usize>,
}

impl<'a> Console<'a> {
    /// Serves these members.
    pub fn new(members: &'a mut [Member]) -> Self {
        Self { members, first: 0, open: None }
    }

    /// Gives every member a turn; returns when to come back even if nobody calls
    /// (`now`: there is more to do, `None`: nothing is waiting).
    pub fn turn(&mut self, now: u64, sink: &mut impl Sink) -> Option<u64> {
        let count = self.members.len();
        let mut again: Option<u64> = None;
        for step in 0..count {
            let when = self.member((self.first + step) % count, now, sink);
            again = [again, when].into_iter().flatten().min();
        }
        self.first = (self.first + 1) % count.max(1);
        again
    }

    /// Gives one member a turn.
    fn member(&mut self, index: usize, now: u64, sink: &mut impl Sink) -> Option<u64> {
        let is_open = self.open == Some(index);
        let member = self.members.get_mut(index)?;
        let mut buffer = [0; QUANTUM];
        let peeked = member.reader.peek(&mut buffer);
        let text = buffer.get(..peeked.bytes).unwrap_or_default();
        if peeked.lost == 0 && text.is_empty() {
            return None;
        }
        let (length, again) = match is_open {
            true => (text.len(), Some(now)),
            false => member.printable(text, now),
        };
        member.reader.take(length);
        let name = member.name;
        if peeked.lost > 0 {
            self.end_line(sink);
            tag(name, sink);
            number(peeked.lost, sink);
            sink.put(b" bytes lost\r\n");
        }
        for line in text.get(..length).unwrap_or_default().split_inclusive(|&byte| byte == b'\n') {
            self.print(index, name, line, sink);
        }
        again
    }

    /// Prints a line of a member, or a part of one.
    fn print(&mut self, index: usize, name: &str, line: &[u8], sink: &mut impl Sink) {
        if self.open != Some(index) {
            self.end_line(sink);
            tag(name, sink);
        }
        match line.strip_suffix(b"\n") {
            Some(whole) => {
                sink.put(whole.strip_suffix(b"\r").unwrap_or(whole));
                sink.put(b"\r\n");
                self.open = None;
            }
            None => {
                sink.put(line);
                self.open = Some(index);
            }
        }
    }

    /// Ends the open line, if there is one.
    fn end_line(&mut self, sink: &mut impl Sink) {
        if self.open.take().is_some() {
            sink.put(b"\r\n");
        }
    }
}

/// Prints a member's tag.
fn tag(name: &str, sink: &mut impl Sink) {
    sink.put(b"[");
    sink.put(name.as_bytes());
    sink.put(b"] ");
}

/// Prints a number.
fn number(mut value: u64, sink: &mut impl Sink) {
    let mut digits = [b'0'; 20];
    let mut from = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        from = at;
        if value == 0 {
            break;
        }
    }
    sink.put(digits.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use parzelle_rt::Volatile;
    use parzelle_rt::ring::Writer;
    use std::string::String;
    use std::vec::Vec;

    impl Sink for Vec<u8> {
        fn put(&mut self, bytes: &[u8]) {
            self.extend_from_slice(bytes);
        }
    }

    fn ring() -> (Writer, Reader) {
        let words = std::vec![0u64; 512].leak();
        // SAFETY: leaked, aligned, reached only through the range.
        let range = unsafe { Volatile::new(words.as_mut_ptr() as u64, 4096) };
        (Writer::new(range).unwrap(), Reader::new(range).unwrap())
    }

    fn pair() -> ([Writer; 2], &'static mut [Member]) {
        let ((a, of_a), (b, of_b)) = (ring(), ring());
        let members = [Member::new("a", of_a), Member::new("b", of_b)];
        ([a, b], Vec::from(members).leak())
    }

    fn run(console: &mut Console<'_>, now: u64) -> (String, Option<u64>) {
        let mut out = Vec::new();
        let mut again = Some(now);
        for _ in 0..100 {
            again = console.turn(now, &mut out);
            if again != Some(now) {
                break;
            }
        }
        (String::from_utf8(out).unwrap(), again)
    }

    #[test]
    fn lines_are_tagged_and_stay_whole() {
        let ([a, b], members) = pair();
        let mut console = Console::new(members);
        a.write(b"one\ntw");
        b.write(b"zwei\r\n\n");
        let (text, again) = run(&mut console, 5);
        assert_eq!(text, "[a] one\r\n[b] zwei\r\n[b] \r\n");
        assert_eq!(again, Some(5 + PATIENCE));
        a.write(b"o\n");
        assert_eq!(run(&mut console, 6), ("[a] two\r\n".into(), None));
    }

    #[test]
    fn a_prompt_appears_and_echoes_until_another_speaks() {
        let ([a, b], members) = pair();
        let mut console = Console::new(members);
        a.write(b"# ");
        assert_eq!(run(&mut console, 0).0, "");
        assert_eq!(run(&mut console, PATIENCE).0, "[a] # ");
        a.write(b"l");
        assert_eq!(run(&mut console, PATIENCE + 1).0, "l");
        b.write(b"news\n");
        assert_eq!(run(&mut console, PATIENCE + 2).0, "\r\n[b] news\r\n");
        a.write(b"s\n");
        assert_eq!(run(&mut console, PATIENCE + 3).0, "[a] s\r\n");
    }

    #[test]
    fn a_chatterbox_loses_text_and_nobody_waits_for_it() {
        let ([a, b], members) = pair();
        let mut console = Console::new(members);
        for _ in 0..1000 {
            a.write(b"chatter chatter\n");
        }
        b.write(b"important\n");
        let (text, _) = run(&mut console, 0);
        let before = text.find("important").unwrap();
        assert!(before < 2 * QUANTUM * 2, "{before}");
        assert!(text.starts_with("[a] 12032 bytes lost\r\n"), "{text}");
    }
}
