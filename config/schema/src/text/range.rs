// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Address ranges, `"0x4000_0000+2GiB"`, and I/O port ranges, `"0x3f8+8"`.

use super::{Fault, TextError, parse_size};

const FORM: &str = "an address and a size, as in `\"0x4000_0000+2GiB\"`";

/// Reads a range as (first address, bytes). With `ports` the size is a bare number of ports.
pub fn parse_range(text: &str, ports: bool) -> Result<(u64, u64), TextError> {
    let all = 0..text.len();
    let form = if ports { "a port and a number of ports, as in `\"0x3f8+8\"`" } else { FORM };
    let plus = text.find('+').ok_or_else(|| TextError::new(Fault::Form(form), all.clone()))?;
    let start = parse_id(&text[..plus]).ok_or_else(|| TextError::new(Fault::Form(form), 0..plus))?;
    let size = if ports {
        parse_id(&text[plus + 1..]).ok_or_else(|| TextError::new(Fault::Form(form), plus + 1..text.len()))?
    } else {
        parse_size(&text[plus + 1..]).map_err(|e| e.moved(plus + 1))?
    };
    if size == 0 {
        return Err(TextError::new(Fault::Value("it is zero"), plus + 1..text.len()));
    }
    let limit = if ports { 0x1_0000 } else { u64::MAX };
    if start.checked_add(size).is_none_or(|end| end > limit) {
        return Err(TextError::new(Fault::Value("it goes beyond the last address"), all));
    }
    Ok((start, size))
}

/// Reads a whole number, hexadecimal with `0x` or decimal, with `_` anywhere between digits.
pub fn parse_id(text: &str) -> Option<u64> {
    let clean: String = text.chars().filter(|c| *c != '_').collect();
    match clean.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        None if clean.bytes().all(|b| b.is_ascii_digit()) => clean.parse().ok(),
        _ => None,
    }
}
