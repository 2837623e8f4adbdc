// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Reads source text just well enough to tell code from comments, strings and tests.

/// Counts lines with code on them, without comments and without items behind `#[cfg(test)]`.
pub(super) fn code_lines(text: &str) -> usize {
    let code = without_tests(&blank(text));
    // In assembly a line may be a comment that begins with `#`; in Rust that is an attribute.
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("# ");
    code.lines().filter(is_code).count()
}

/// Whether there is unsafe code, be it a block, a function, an implementation or an attribute.
pub(super) fn is_unsafe(text: &str) -> bool {
    let code = blank(text);
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| word == "unsafe")
}

/// Replaces comments by spaces and the content of strings by quotes; lines stay where they are.
fn blank(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let at = |index: usize| bytes.get(index).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    let mut keep = |c: char, replacement: char| {
        out.push(if c.is_whitespace() { c } else { replacement });
    };
    while index < bytes.len() {
        let end = match (at(index), at(index + 1)) {
            ('/', '/') => line_end(&bytes, index),
            ('/', '*') => comment_end(&bytes, index),
            ('"', _) => string_end(&bytes, index + 1),
            ('r', '"' | '#') if !is_word(&bytes, index) => raw_end(&bytes, index),
            ('\'', '\\') => char_end(&bytes, index),
            ('\'', _) if at(index + 2) == '\'' => index + 3,
            _ => index,
        };
        let replacement = if at(index) == '/' { ' ' } else { '"' };
        if end == index {
            keep(at(index), at(index));
            index += 1;
        }
        while index < end {
            keep(at(index), replacement);
            index += 1;
        }
    }
    out
}

/// Whether the character before `index` belongs to a word, so that an `r` here starts no string.
fn is_word(text: &[char], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| text.get(before));
    before.is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

/// The end of a comment that ends with its line.
fn line_end(text: &[char], start: usize) -> usize {
    (start..text.len()).find(|&index| text.get(index) == Some(&'\n')).unwrap_or(text.len())
}

/// The end of a comment that may hold others of its kind.
fn comment_end(text: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = start;
    while index < text.len() {
        match text.get(index..index + 2) {
            Some(['/', '*']) => depth += 1,
            Some(['*', '/']) => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            break;
        }
    }
    index
}

/// The end of a string whose content starts at `start`.
fn string_end(text: &[char], start: usize) -> usize {
    let mut index = start;
    while let Some(&c) = text.get(index) {
        match c {
            '\\' => index += 2,
            '"' => return index + 1,
            _ => index += 1,
        }
    }
    text.len()
}

/// The end of a raw string, or `start` if it is none (`r#type`).
fn raw_end(text: &[char], start: usize) -> usize {
    let hashes = text.iter().skip(start + 1).take_while(|&&c| c == '#').count();
    let open = start + 1 + hashes;
    if text.get(open) != Some(&'"') {
        return start;
    }
    let mut index = open + 1;
    while index < text.len() {
        let closing = text.iter().skip(index + 1).take(hashes);
        if text.get(index) == Some(&'"') && closing.filter(|&&c| c == '#').count() == hashes {
            return index + 1 + hashes;
        }
        index += 1;
    }
    text.len()
}

/// The end of a character that is written with a backslash.
fn char_end(text: &[char], start: usize) -> usize {
    let close = (start + 3..text.len()).find(|&index| text.get(index) == Some(&'\''));
    close.map_or(text.len(), |close| close + 1)
}

/// The attributes before what is in no kernel image: tests, what hosts compile (no kernel enables a
/// feature that stands beside `test`), stand-ins for instructions that a host doesn't have, and what a
/// feature adds that no shipped kernel has (`measure`).
const MARKS: [&str; 7] = [
    "#[cfg(test)]",
    "#[cfg(any(test",
    "#[cfg(all(test",
    "#[cfg(not(target_arch",
    "#[cfg(not(all(target_arch",
    "#[cfg(not(target_os",
    "#[cfg(feature",
];

/// Cuts out every item behind one of [`MARKS`].
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, _, after)) = next_test(rest) {
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The names of modules in files of their own that only tests compile, or kernels with a feature that
/// no shipped one has (`measure`).
pub(super) fn test_modules(text: &str) -> Vec<String> {
    let code = blank(text);
    let mut names = Vec::new();
    let mut rest = code.as_str();
    while let Some((_, item, after)) = next_test(rest) {
        let mut words = item.trim_end_matches(';').split_whitespace().rev();
        if let (Some(name), Some("mod")) = (words.next(), words.next()) {
            names.push(name.to_owned());
        }
        rest = after;
    }
    names
}

/// Splits the code at the next item behind one of [`MARKS`]: before it, the item, behind it.
fn next_test(code: &str) -> Option<(&str, &str, &str)> {
    let at = MARKS.iter().filter_map(|mark| code.find(mark)).min()?;
    let (before, rest) = code.split_at(at);
    let (item, after) = rest.split_at_checked(item_end(rest))?;
    Some((before, item, after))
}

/// Where an item that begins with attributes ends: behind its braces, behind its semicolon, or, if it is a
/// field, behind its comma.
fn item_end(item: &str) -> usize {
    let mut depth = 0_usize;
    let is_field = |before: &str| !["fn ", "impl", "struct "].iter().any(|word| before.contains(word));
    for (index, c) in item.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return index + 1;
                }
            }
            ';' if depth == 0 => return index + 1,
            ',' if depth == 0 && is_field(item.get(..index).unwrap_or(item)) => return index + 1,
            _ => {}
        }
    }
    item.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_tests_do_not_count() {
        let text = "//! doc\n\nfn a() {} // x\n/* b\n c */\nlet s = \"// no comment\";\n\
                    #[cfg(test)]\nmod tests {\n fn b() { \"}\"; }\n}\nfn c() {}\n\
                    #[cfg(test)]\nmod more;\n";
        assert_eq!(code_lines(text), 3);
    }

    #[test]
    fn a_word_in_a_comment_or_string_is_not_unsafe() {
        assert!(!is_unsafe("// unsafe\n#![deny(unsafe_op_in_unsafe_fn)]\nlet x = \"unsafe\";"));
        assert!(!is_unsafe("let x = r#\"unsafe \" unsafe\"#; /* unsafe /* unsafe */ */"));
        assert!(is_unsafe("fn a<'a>(x: &'a u8) { let c = '\"'; unsafe { b() } }"));
        assert!(is_unsafe("let c = '\\''; #[unsafe(no_mangle)] fn x() {}"));
    }

    #[test]
    fn what_only_a_host_compiles_does_not_count() {
        let text = "#[cfg(not(target_arch = \"aarch64\"))]\nfn a() {\n}\nfn b() {}\n# remark\n";
        assert_eq!(code_lines(text), 1);
        let text = "{\n#[cfg(not(target_os = \"none\"))]\n{\n0\n}\n}\n";
        assert_eq!(code_lines(text), 2);
    }

    #[test]
    fn what_only_a_measured_kernel_has_does_not_count() {
        let text = "struct A {\n#[cfg(feature = \"measure\")]\nmeasure: B<C>,\nrest: u64,\n}\n\
                    fn a() {\n#[cfg(feature = \"measure\")]\nbegin(a, b);\nb();\n}\n";
        assert_eq!(code_lines(text), 6);
    }

    #[test]
    fn modules_of_tests_are_known_by_name() {
        let text = "#[cfg(any(test, feature = \"fake\"))]\npub mod fake;\nmod real;\n\
                    #[cfg(test)]\nmod tests {}\n#[cfg(test)]\nmod more;\n\
                    #[cfg(feature = \"measure\")]\nmod measure;\n#[cfg(feature = \"measure\")]\nuse measure::It;\n";
        assert_eq!(test_modules(text), ["fake", "more", "measure"]);
    }

    #[test]
    fn raw_names_are_no_strings() {
        assert!(is_unsafe("let r#type = 1; unsafe {}"));
    }
}
