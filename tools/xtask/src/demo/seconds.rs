// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Gives a description another length of its run.
//!
//! How long the demo runs is its reporter's `config`: a key `seconds`. The number behind each such
//! key is replaced; everything else of the text stays as it is.

use anyhow::{Result, bail};

/// The key whose value is replaced.
const KEY: &str = "seconds";

/// Replaces the value of every `seconds = N` outside of comments.
pub(super) fn replace(text: &str, seconds: u64) -> Result<String> {
    let mut replaced = String::with_capacity(text.len());
    let mut found = false;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or_default();
        match place(code) {
            Some((start, end)) => {
                found = true;
                replaced.push_str(line.get(..start).unwrap_or_default());
                replaced.push_str(&seconds.to_string());
                replaced.push_str(line.get(end..).unwrap_or_default());
            }
            None => replaced.push_str(line),
        }
    }
    if !found {
        bail!("the demo has no `{KEY} = N` that could be changed");
    }
    Ok(replaced)
}

/// Where the number behind the key lies in a line.
fn place(line: &str) -> Option<(usize, usize)> {
    let key = line.find(KEY)?;
    let whole = line.get(..key)?.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '-');
    let behind = line.get(key + KEY.len()..)?;
    let value = behind.trim_start().strip_prefix('=')?.trim_start();
    let start = line.len() - value.len();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    (whole && digits > 0).then_some((start, start + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_changes() {
        let text = "# seconds = 1\nconfig = { seconds = 5, x = 7 }\nseconds= 12 # end\n";
        let wanted = "# seconds = 1\nconfig = { seconds = 30, x = 7 }\nseconds= 30 # end\n";
        assert_eq!(replace(text, 30).unwrap(), wanted);
        assert!(replace("milliseconds = 5", 1).is_err());
    }
}
