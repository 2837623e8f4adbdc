// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! PCI: addresses of functions (`"00:05.0"`), of slots (`"00:1f"`), and ids (`"1234:11e8"`).

use std::fmt;

use super::{Fault, TextError};

const ADDRESS: &str = "bus, device and function, as in `\"00:05.0\"`";
const SLOT: &str = "bus and device, as in `\"00:1f\"`";
const ID: &str = "vendor and device in hexadecimal, as in `\"1af4:1042\"`";

/// The address of a PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// 0–255.
    pub bus: u8,
    /// 0–31.
    pub device: u8,
    /// 0–7.
    pub function: u8,
}

impl PciAddress {
    /// Bus and device: what sits in one slot.
    pub fn slot(self) -> (u8, u8) {
        (self.bus, self.device)
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{:x}", self.bus, self.device, self.function)
    }
}

/// The first ids of a function's configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciId {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// Hexadecimal digits, at most so many, and nothing else.
fn hex(text: &str, digits: usize) -> Option<u16> {
    let good = !text.is_empty() && text.len() <= digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    if good { u16::from_str_radix(text, 16).ok() } else { None }
}

/// Reads `"00:05.0"`.
pub fn parse_pci(text: &str) -> Result<PciAddress, TextError> {
    let form = || TextError::new(Fault::Form(ADDRESS), 0..text.len());
    let (slot, function) = text.rsplit_once('.').ok_or_else(form)?;
    let (bus, device) = slot.split_once(':').ok_or_else(form)?;
    let number = |text, digits| hex(text, digits).ok_or_else(form);
    let (bus, device, function) = (number(bus, 2)?, number(device, 2)?, number(function, 1)?);
    let at = slot.len() - 2..slot.len();
    let device = u8::try_from(device).ok().filter(|d| *d < 32);
    let device = device.ok_or_else(|| TextError::new(Fault::Value("a bus has the devices 00 to 1f"), at))?;
    let at = text.len() - 1..text.len();
    let function = u8::try_from(function).ok().filter(|f| *f < 8);
    let function = function.ok_or_else(|| TextError::new(Fault::Value("a device has the functions 0 to 7"), at))?;
    Ok(PciAddress { bus: bus as u8, device, function })
}

/// Reads `"00:1f"` as bus and device.
pub fn parse_slot(text: &str) -> Result<(u8, u8), TextError> {
    let form = || TextError::new(Fault::Form(SLOT), 0..text.len());
    let slot = parse_pci(&format!("{text}.0")).map_err(|_| form())?;
    Ok(slot.slot())
}

/// Reads `"1af4:1042"`.
pub fn parse_pci_id(text: &str) -> Result<PciId, TextError> {
    let form = || TextError::new(Fault::Form(ID), 0..text.len());
    let (vendor, device) = text.split_once(':').ok_or_else(form)?;
    let number = |text| hex(text, 4).ok_or_else(form);
    Ok(PciId { vendor: number(vendor)?, device: number(device)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_slots_and_ids() {
        let address = parse_pci("00:1f.3").unwrap();
        assert_eq!((address.bus, address.device, address.function), (0, 31, 3));
        assert_eq!(address.to_string(), "00:1f.3");
        assert_eq!(parse_slot("0:3"), Ok((0, 3)));
        assert_eq!(parse_pci_id("1af4:1042").unwrap().to_string(), "1af4:1042");
        for wrong in ["", "00:05", "00.5", "0000:00:05.0", "00:+5.0", "00:05.", "g0:05.0"] {
            assert!(parse_pci(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_pci("00:20.0").unwrap_err().column, 3..5);
        assert!(parse_pci("00:05.8").is_err() && parse_pci_id("1af4").is_err() && parse_slot("00:05.0").is_err());
    }
}
