// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Numbers with a unit: times in nanoseconds, sizes in bytes.

use super::{Fault, TextError};

const TIMES: [(&str, u64); 4] = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// What people write when they mean one of ours.
const MEANT: [(&str, &str); 26] = [
    ("µs", "us"),
    ("μs", "us"),
    ("usec", "us"),
    ("Us", "us"),
    ("US", "us"),
    ("msec", "ms"),
    ("mS", "ms"),
    ("MS", "ms"),
    ("Ms", "ms"),
    ("nsec", "ns"),
    ("NS", "ns"),
    ("sec", "s"),
    ("S", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("b", "B"),
    ("bytes", "B"),
    ("byte", "B"),
    ("k", "KiB"),
    ("K", "KiB"),
    ("KB", "KiB"),
    ("kB", "KiB"),
    ("M", "MiB"),
    ("MB", "MiB"),
    ("G", "GiB"),
    ("GB", "GiB"),
];

/// Reads `"1.5ms"` as nanoseconds; never 0 for a positive text that is not whole.
pub fn parse_time(text: &str) -> Result<u64, TextError> {
    parse(text, &TIMES, "a time has whole nanoseconds")
}

/// Reads `"64KiB"` as bytes.
pub fn parse_size(text: &str) -> Result<u64, TextError> {
    parse(text, &SIZES, "a size has whole bytes")
}

fn parse(text: &str, units: &[(&'static str, u64)], whole: &'static str) -> Result<u64, TextError> {
    let all = 0..text.len();
    let form =
        |column| Err(TextError::new(Fault::Form("a number and a unit, as in `\"10ms\"` or `\"64KiB\"`"), column));
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let unit = rest.trim_start();
    let unit_at = text.len() - unit.len()..text.len();
    if number.is_empty() || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return form(all);
    }
    if unit.is_empty() {
        return Err(TextError::new(Fault::NoUnit, all));
    }
    let Some(&(_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let meant = MEANT
            .iter()
            .find(|(wrong, right)| *wrong == unit && units.iter().any(|(u, _)| u == right))
            .map(|&(_, right)| right)
            .or_else(|| units.iter().map(|&(u, _)| u).find(|u| u.eq_ignore_ascii_case(unit)));
        return Err(TextError::new(Fault::Unit(meant), unit_at));
    };
    if rest.len() != unit.len() {
        return form(number.len()..unit_at.start);
    }
    let (whole_part, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.ends_with('.') || fraction.contains('.') {
        return form(0..digits);
    }
    let large = || TextError::new(Fault::Value("it is too large"), 0..text.len());
    let digits_of = |s: &str| s.bytes().filter(|b| *b != b'_').collect::<Vec<u8>>();
    let mut value: u64 = 0;
    for b in digits_of(whole_part) {
        value = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(b - b'0'))).ok_or_else(large)?;
    }
    value = value.checked_mul(factor).ok_or_else(large)?;
    let mut step = u128::from(factor);
    let mut scale: u128 = 1;
    let mut part: u128 = 0;
    for b in digits_of(fraction) {
        if scale > 1_000_000_000_000 {
            return Err(TextError::new(Fault::Value(whole), 0..text.len()));
        }
        scale *= 10;
        part = part * 10 + u128::from(b - b'0');
    }
    step *= part;
    if !step.is_multiple_of(scale) {
        return Err(TextError::new(Fault::Value(whole), 0..text.len()));
    }
    u64::try_from(step / scale).ok().and_then(|more| value.checked_add(more)).ok_or_else(large)
}

/// Writes nanoseconds in the largest unit that keeps at most three decimals: `1.5 ms`.
pub fn show_time(ns: u64) -> String {
    show(ns, &TIMES, 1000)
}

/// Writes bytes in the largest unit that divides them, else with two decimals: `64 KiB`.
pub fn show_size(bytes: u64) -> String {
    for &(name, factor) in SIZES.iter().rev() {
        if bytes >= factor {
            if bytes.is_multiple_of(factor) {
                return format!("{} {name}", bytes / factor);
            }
            let hundredths = (u128::from(bytes) * 100).div_ceil(u128::from(factor));
            return format!("{}.{:02} {name}", hundredths / 100, hundredths % 100);
        }
    }
    "0 B".to_owned()
}

fn show(value: u64, units: &[(&str, u64)], parts: u64) -> String {
    for &(name, factor) in units.iter().rev() {
        if value >= factor && (value % factor).is_multiple_of((factor / parts).max(1)) {
            let rest = (value % factor) / (factor / parts).max(1);
            if rest == 0 {
                return format!("{} {name}", value / factor);
            }
            let decimals = format!("{rest:03}");
            return format!("{}.{} {name}", value / factor, decimals.trim_end_matches('0'));
        }
    }
    if value == 0 { "0 ms".to_owned() } else { format!("{value} ns") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(parse_time("1.5ms"), Ok(1_500_000));
        assert_eq!(parse_time("0.1ns").unwrap_err().fault, Fault::Value("a time has whole nanoseconds"));
        assert_eq!(parse_time("10").unwrap_err().fault, Fault::NoUnit);
        assert_eq!(parse_time("10µs").unwrap_err(), TextError::new(Fault::Unit(Some("us")), 2..5));
        assert_eq!(parse_size("64KiB"), Ok(65536));
        assert_eq!(parse_size("64MB").unwrap_err().fault, Fault::Unit(Some("MiB")));
        assert!(parse_size("99999999999999999999GiB").is_err());
        assert!(parse_time("1.5").is_err() && parse_time("").is_err() && parse_time("ms").is_err());
    }

    #[test]
    fn shown_as_people_write() {
        assert_eq!(show_time(1_500_000), "1.5 ms");
        assert_eq!(show_time(20_000_000), "20 ms");
        assert_eq!(show_time(100_500), "100.5 us");
        assert_eq!(show_time(1_000_001), "1000.001 us");
        assert_eq!(show_size(64 << 20), "64 MiB");
        assert_eq!(show_size(1500), "1.47 KiB");
    }
}
