// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The free table `config` of a partition, which the tool hands over as one JSON object.
//!
//! A partition wants a number or a word from it, not a tree: this reads the keys of the outermost
//! object and leaves what is nested alone.

/// The table, read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    json: &'a str,
}

impl<'a> Config<'a> {
    /// Reads a JSON object. What is none has no keys.
    pub const fn new(json: &'a str) -> Self {
        Self { json }
    }

    /// The whole text.
    pub const fn json(&self) -> &'a str {
        self.json
    }

    /// A text; escapes in it stay as they are written.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// A number that is not negative.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.value(key)?.parse().ok()
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.value(key)?.parse().ok()
    }

    /// The JSON text of a key's value.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        let mut rest = self.json.trim().strip_prefix('{')?;
        loop {
            let (name, after) = token(rest)?;
            let (value, after) = token(after.trim_start().strip_prefix(':')?)?;
            if name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) == Some(key) {
                return Some(value);
            }
            rest = after.trim_start().strip_prefix(',')?;
        }
    }
}

/// Splits off one JSON value: (value, what follows).
fn token(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        let closed = match byte {
            _ if escaped => {
                escaped = false;
                false
            }
            b'\\' => {
                escaped = quoted;
                false
            }
            b'"' => {
                quoted = !quoted;
                !quoted && depth == 0
            }
            _ if quoted => false,
            b'[' | b'{' => {
                depth += 1;
                false
            }
            b']' | b'}' if depth > 0 => {
                depth -= 1;
                depth == 0
            }
            b',' | b'}' | b']' | b':' if depth == 0 => {
                return (at > 0).then(|| (text[..at].trim_end(), &text[at..]));
            }
            _ => false,
        };
        if closed {
            return Some((&text[..=at], &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_keys_are_read_whatever_is_nested() {
        let text = r#"{ "a": 1, "deep":{"b":[2,"}"],"x\"":{}}, "b" : "say \"x\"","c":true, "d": 18}"#;
        let config = Config::new(text);
        assert_eq!(config.number("a"), Some(1));
        assert_eq!(config.text("b"), Some("say \\\"x\\\""));
        assert_eq!(config.flag("c"), Some(true));
        assert_eq!(config.number("d"), Some(18));
        assert_eq!(config.value("x"), None);
        assert_eq!(config.number("b"), None);
    }

    #[test]
    fn what_is_no_object_has_no_keys() {
        for text in ["", "{}", "[1]", "{\"a\"", "{\"a\":", "{,}", "{\"a\" 1}"] {
            assert_eq!(Config::new(text).value("a"), None, "{text}");
        }
    }
}
