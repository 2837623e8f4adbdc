// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Rates: `"2ms/10ms"` (time per period) and `"5/10s"` (events within a time).

use super::{Fault, TextError, parse_time};

/// Reads `"2ms/10ms"`: (time, period) in nanoseconds.
pub fn parse_time_rate(text: &str) -> Result<(u64, u64), TextError> {
    let slash = slash(text, "a time per period, as in `\"2ms/10ms\"`")?;
    let time = parse_time(&text[..slash])?;
    let period = parse_time(&text[slash + 1..]).map_err(|e| e.moved(slash + 1))?;
    if time == 0 {
        return Err(TextError::new(Fault::Value("it is zero"), 0..slash));
    }
    if time > period {
        return Err(TextError::new(Fault::Value("the time is longer than its period"), 0..slash));
    }
    Ok((time, period))
}

/// Reads `"5/10s"`: (count, nanoseconds).
pub fn parse_count_rate(text: &str) -> Result<(u32, u64), TextError> {
    const FORM: &str = "a number per time, as in `\"5/10s\"`";
    let slash = slash(text, FORM)?;
    let count: u32 = text[..slash].parse().map_err(|_| TextError::new(Fault::Form(FORM), 0..slash))?;
    let within = parse_time(&text[slash + 1..]).map_err(|e| e.moved(slash + 1))?;
    if within == 0 {
        return Err(TextError::new(Fault::Value("it is zero"), slash + 1..text.len()));
    }
    Ok((count, within))
}

fn slash(text: &str, form: &'static str) -> Result<usize, TextError> {
    text.find('/').ok_or_else(|| TextError::new(Fault::Form(form), 0..text.len()))
}
