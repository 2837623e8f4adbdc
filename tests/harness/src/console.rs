// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What came out of the serial line: lines, whose they are, and the reports in them.
//!
//! The console partition tags each line with the partition that wrote it. A line without a tag is the
//! kernel's. A line with `##` and a JSON object is for the tools:
//!
//! ```text
//! parzelle: 3 partitions                                   the kernel
//! [control] first window                                   partition `control`
//! [monitor] ##{"verdict":"pass","what":"ports"}            partition `monitor`, a report
//! ```

use serde_json::Value;

/// The name under which the kernel's own, untagged lines are found.
pub const KERNEL: &str = "kernel";

/// What the kernel prints when it gives up, or refuses to begin.
const FAILED: [&str; 2] = ["parzelle: module failed", "parzelle: refused: "];

/// What starts a report within a line.
const REPORT: &str = "##";

/// One line of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The partition that wrote it, or [`KERNEL`].
    pub partition: String,
    /// The text behind the tag.
    pub text: String,
}

impl Line {
    /// Reads a line as it came, without its line end.
    pub fn parse(raw: &str) -> Self {
        let raw = raw.trim_end_matches(['\r', '\n']);
        match tag(raw) {
            Some((partition, text)) => Self { partition: partition.to_owned(), text: text.to_owned() },
            None => Self { partition: KERNEL.to_owned(), text: raw.to_owned() },
        }
    }

    /// The JSON object behind `##`, if this line carries a whole one.
    ///
    /// A guest may print `##` too: what is no object is no report.
    pub fn report(&self) -> Option<Value> {
        let (_, json) = self.text.split_once(REPORT)?;
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
        values.next()?.ok().filter(Value::is_object)
    }
}

/// Splits `[name] text`. Linux prints `[    0.000000] text`: a name has neither spaces nor dots.
fn tag(raw: &str) -> Option<(&str, &str)> {
    let (name, text) = raw.strip_prefix('[')?.split_once(']')?;
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = !name.is_empty() && name.len() <= 30 && name.chars().all(letters);
    fits.then(|| (name, text.strip_prefix(' ').unwrap_or(text)))
}

/// All that a system printed.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    raw: String,
    /// The beginning of a character whose rest has not come yet.
    begun: Vec<u8>,
}

impl Transcript {
    /// Takes a text that was recorded.
    pub fn new(raw: impl Into<String>) -> Self {
        Self { raw: raw.into(), begun: Vec::new() }
    }

    /// Adds bytes as they come; those that are no UTF-8 become replacement characters.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            // No error length: the text just stops in the middle of a character.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.begun.len(),
        };
        let rest = self.begun.split_off(whole);
        self.raw.push_str(&String::from_utf8_lossy(&self.begun));
        self.begun = rest;
    }

    /// The text, as it came.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The lines in the order in which they were printed.
    pub fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        self.raw.lines().map(Line::parse)
    }

    /// The texts of one partition's lines.
    pub fn of<'a>(&'a self, partition: &'a str) -> impl Iterator<Item = String> + 'a {
        let own = self.lines().filter(move |line| line.partition == partition);
        own.map(|line| line.text)
    }

    /// The reports in which `key` is present: `("verdict")`, `("bench")`, `("report")`.
    pub fn reports<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Value> + 'a {
        let all = self.lines().filter_map(|line| line.report());
        all.filter(move |report| report.get(key).is_some())
    }

    /// Whether the kernel gave up: it may do so in the middle of somebody's line.
    pub(crate) fn failed(&self) -> bool {
        FAILED.iter().any(|text| self.raw.contains(text))
    }

    /// The last `count` lines, for a person who has to find out what went wrong.
    pub fn tail(&self, count: usize) -> String {
        let lines: Vec<&str> = self.raw.lines().collect();
        let from = lines.len().saturating_sub(count);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_partitions_and_nothing_else() {
        let line = Line::parse("[control-2] hello\r\n");
        assert_eq!((line.partition.as_str(), line.text.as_str()), ("control-2", "hello"));
        for raw in ["[    0.000000] Booting Linux", "[0.5] x", "plain", "[] x"] {
            let line = Line::parse(raw);
            assert_eq!((line.partition.as_str(), line.text.as_str()), (KERNEL, raw));
        }
    }

    #[test]
    fn reports_are_found_anywhere_in_a_line() {
        let text = "[a] ##{\"verdict\":\"pass\"} \nnoise ##{\"bench\":\"x\"}\n[b] ## no\n##{\n## 5\n";
        let transcript = Transcript::new(text);
        assert_eq!(transcript.reports("verdict").count(), 1);
        assert_eq!(transcript.reports("bench").count(), 1);
        assert_eq!(transcript.lines().filter_map(|l| l.report()).count(), 2);
    }

    #[test]
    fn a_guests_kernel_log_stays_the_guests() {
        let transcript = Transcript::new("[debian] [    0.000000] Booting Linux\n");
        assert_eq!(transcript.of("debian").next().unwrap(), "[    0.000000] Booting Linux");
    }

    #[test]
    fn a_character_may_come_in_two_pieces() {
        let mut transcript = Transcript::default();
        for piece in [&b"\xc3"[..], b"\xa4 \xff", b"!"] {
            transcript.push(piece);
        }
        assert_eq!(transcript.raw(), "ä \u{fffd}!");
    }

    #[test]
    fn the_tail_is_the_end() {
        let transcript = Transcript::new("1\n2\n3\n");
        assert_eq!(transcript.tail(2), "2\n3");
        assert_eq!(transcript.tail(9), "1\n2\n3");
    }
}
