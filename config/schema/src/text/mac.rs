// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Addresses of network ports, `"52:54:00:12:34:56"` (IEEE 802: six bytes; the first bit of the
//! first byte that is sent says "group", the second "locally administered").

use std::fmt;

use super::{Fault, TextError};

const FORM: &str = "six bytes in hexadecimal, as in `\"52:54:00:12:34:56\"`";

/// The address of a network port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it names one station: no group, and not the address that means none.
    pub fn unicast(self) -> bool {
        self.0.first().is_some_and(|first| first & 1 == 0) && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Reads an address.
pub fn parse_mac(text: &str) -> Result<Mac, TextError> {
    let form = || TextError::new(Fault::Form(FORM), 0..text.len());
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part =
            parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(form)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| form())?;
    }
    if parts.next().is_some() { Err(form()) } else { Ok(Mac(bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_bytes() {
        let mac = parse_mac("52:54:00:12:34:5F").unwrap();
        assert_eq!((mac.to_string().as_str(), mac.unicast()), ("52:54:00:12:34:5f", true));
        assert!(!parse_mac("01:00:5e:00:00:01").unwrap().unicast());
        assert!(!parse_mac("00:00:00:00:00:00").unwrap().unicast());
        for wrong in
            ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "52-54-00-12-34-56", "5:54:00:12:34:56", "+2:54:00:12:34:56"]
        {
            assert!(parse_mac(wrong).is_err(), "{wrong}");
        }
    }
}
