// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! As much of ACPI's tables as boot needs: who the processors are, where the IO-APIC, timer and IOMMU
//! are (ACPI specification 6.5, §5.2.5–§5.2.12).
//!
//! ```text
//!   RSDP ─► XSDT or RSDT ─┬► MADT "APIC": local APICs, IO-APICs
//!                         ├► FADT "FACP": the timer's port
//!                         └► DMAR: IOMMUs
//! ```
//! Firmware wrote them, so nothing is believed but what lies in a table's length; what doesn't
//! make sense is skipped, and what is missing then is refused by name.

use super::physical::Physical;
use crate::iommu::Unit;

/// Processors that are remembered.
pub(crate) const PROCESSORS_MAX: usize = 64;
/// Bytes of a table's head.
const HEAD: u64 = 36;
/// The longest table that is read.
const TABLE_MAX: u64 = 1 << 20;
/// Where an old BIOS keeps the root pointer, if the loader doesn't tell.
const BIOS: core::ops::Range<u64> = 0xe_0000..0x10_0000;

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acpi {
    apics: [u8; PROCESSORS_MAX],
    count: usize,
    /// Where the local APICs are, by the table.
    pub(crate) local: u64,
    /// Where the IO-APIC for line 0 is.
    pub(crate) io: Option<u64>,
    /// The timer's port, and whether it has 32 bits (else 24).
    pub(crate) timer: Option<(u16, bool)>,
    /// The IOMMU.
    pub(crate) iommu: Option<Unit>,
}

impl Acpi {
    /// The numbers of the enabled processors' APICs, as the table has them.
    pub(crate) fn apics(&self) -> &[u8] {
        self.apics.get(..self.count).unwrap_or(&[])
    }

    /// Walks the tables; `rsdp` 0 = search for the root pointer. `Err` names what is missing.
    ///
    /// # Errors
    /// When there is no root pointer or no MADT.
    pub(crate) fn read(memory: &impl Physical, rsdp: u64) -> Result<Acpi, &'static str> {
        let (root, wide) = root(memory, rsdp).ok_or("ACPI root pointer was not found")?;
        let mut acpi = Acpi { apics: [0; PROCESSORS_MAX], count: 0, local: 0, io: None, timer: None, iommu: None };
        let mut found = false;
        let step = if wide { 8 } else { 4 };
        let entries = table(memory, root).ok_or("ACPI root table is broken")?;
        for entry in entries.get(HEAD as usize..).unwrap_or(&[]).chunks_exact(step) {
            let Some(table) = table(memory, number(entry, 0, step)) else {
                continue;
            };
            match table.get(..4) {
                Some(b"APIC") => {
                    acpi.madt(table);
                    found = true;
                }
                Some(b"FACP") => acpi.fadt(table),
                Some(b"DMAR") => acpi.iommu = Unit::find(table),
                _ => {}
            }
        }
        if found { Ok(acpi) } else { Err("ACPI tables have no MADT") }
    }

    /// §5.2.12.
    fn madt(&mut self, table: &[u8]) {
        self.local = number(table, 36, 4);
        let mut rest = table.get(44..).unwrap_or(&[]);
        while let Some(&[kind, length]) = rest.get(..2) {
            let Some((entry, after)) = rest.split_at_checked(usize::from(length.max(2))) else {
                return;
            };
            rest = after;
            match (kind, entry.len()) {
                // Processor local APIC: enabled.
                (0, 8..) if number(entry, 4, 4) & 1 != 0 => self.processor(number(entry, 3, 1)),
                // IO-APIC.
                (1, 12..) if number(entry, 8, 4) == 0 => self.io = Some(number(entry, 4, 4)),
                // Local APIC address override.
                (5, 12..) => self.local = number(entry, 4, 8),
                _ => {}
            }
        }
    }

    fn processor(&mut self, apic: u64) {
        if let Some(slot) = self.apics.get_mut(self.count) {
            *slot = apic as u8;
            self.count += 1;
        }
    }

    /// §5.2.9: PM_TMR_BLK at 76, its length at 91, flags at 112 (bit 8: 32 bits).
    fn fadt(&mut self, table: &[u8]) {
        let port = number(table, 76, 4);
        if table.len() >= 116 && number(table, 91, 1) == 4 && (1..0x1_0000).contains(&port) {
            self.timer = Some((port as u16, number(table, 112, 4) & 1 << 8 != 0));
        }
    }
}

/// A little-endian number of `length` (at most 8) bytes; 0 where there is none.
pub(crate) fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let field = at.checked_add(length).and_then(|end| bytes.get(at..end));
    field.unwrap_or(&[]).iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// A table with a right checksum (§5.2.6).
fn table(memory: &impl Physical, address: u64) -> Option<&'static [u8]> {
    let length = number(memory.bytes(address, HEAD)?, 4, 4);
    let length = Some(length).filter(|length| (HEAD..TABLE_MAX).contains(length))?;
    memory.bytes(address, length).filter(|table| sums_up(table))
}

fn sums_up(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// The root table, and whether its entries have 64 bits (§5.2.5.3).
fn root(memory: &impl Physical, rsdp: u64) -> Option<(u64, bool)> {
    let pointer =
        if rsdp == 0 { BIOS.step_by(16).find_map(|address| pointer(memory, address))? } else { pointer(memory, rsdp)? };
    let wide = number(pointer, 24, 8);
    if number(pointer, 15, 1) >= 2 && wide != 0 { Some((wide, true)) } else { Some((number(pointer, 16, 4), false)) }
}

fn pointer(memory: &impl Physical, address: u64) -> Option<&'static [u8]> {
    let bytes = memory.bytes(address, 20)?;
    if bytes.get(..8) != Some(b"RSD PTR ") || !sums_up(bytes) {
        return None;
    }
    match number(bytes, 15, 1) {
        0 | 1 => Some(bytes),
        _ => memory.bytes(address, 36),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Image(&'static [u8]);

    impl Physical for Image {
        fn bytes(&self, address: u64, length: u64) -> Option<&'static [u8]> {
            let end = address.checked_add(length)?;
            self.0.get(address as usize..end as usize)
        }
    }

    fn sealed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
        bytes[at] = 0;
        bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
        bytes
    }

    fn with_head(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 36];
        bytes[..4].copy_from_slice(signature);
        bytes.extend_from_slice(body);
        let length = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        sealed(bytes, 9)
    }

    /// Two processors, one of them disabled, one more; an IO-APIC; a timer at 0x608.
    fn machine() -> Vec<u8> {
        let mut madt = vec![0, 0, 0xe0, 0xfe, 1, 0, 0, 0];
        madt.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        madt.extend([0, 8, 1, 5, 0, 0, 0, 0]);
        madt.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        madt.extend([0, 8, 2, 7, 1, 0, 0, 0]);
        madt.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        let madt = with_head(b"APIC", &madt);
        let mut fadt = vec![0; 116 - 36];
        fadt[40..44].copy_from_slice(&0x608u32.to_le_bytes());
        fadt[91 - 36] = 4;
        fadt[113 - 36] = 1;
        let fadt = with_head(b"FACP", &fadt);
        let rsdt = with_head(b"RSDT", &[0x00, 2, 0, 0, 0x00, 4, 0, 0]);
        let mut rsdp = b"RSD PTR \0QEMU  \0".to_vec();
        rsdp.extend(0x100u32.to_le_bytes());
        let mut image = vec![0; 0x600];
        for (at, part) in [(0x40, sealed(rsdp, 8)), (0x100, rsdt), (0x200, madt), (0x400, fadt)] {
            image[at..at + part.len()].copy_from_slice(&part);
        }
        image
    }

    #[test]
    fn enabled_processors_controllers_and_timer_are_found() {
        let acpi = Acpi::read(&Image(machine().leak()), 0x40).unwrap();
        assert_eq!(acpi.apics(), [0, 7]);
        assert_eq!(acpi.local, 0xfee0_0000);
        assert_eq!(acpi.io, Some(0xfec0_0000));
        assert_eq!(acpi.timer, Some((0x608, true)));
    }

    #[test]
    fn a_table_with_a_wrong_sum_is_not_there() {
        for (at, outcome) in [(0x230, false), (0x110, false), (0x430, true), (0x45, false)] {
            let mut image = machine();
            image[at] ^= 4;
            assert_eq!(Acpi::read(&Image(image.leak()), 0x40).is_ok(), outcome, "{at:#x}");
        }
        assert!(Acpi::read(&Image(machine().leak()), 0).is_err(), "no BIOS area");
    }

    proptest! {
        /// Whatever firmware wrote: no panic, no endless walk. Sums are made right again, so that
        /// the walk goes on behind them.
        #[test]
        fn no_table_is_believed(changes in prop::collection::vec((0x40usize..0x500, any::<u8>()), 1..12)) {
            let mut image = machine();
            for (at, value) in changes {
                image[at] = value;
            }
            let broken: &'static [u8] = image.clone().leak();
            let _ = Acpi::read(&Image(broken), 0x40);
            for (at, sum) in [(0x100usize, 9usize), (0x200, 9), (0x400, 9)] {
                let length = number(&image, at + 4, 4) as usize;
                if (36..0x200).contains(&length) && at + length <= image.len() {
                    let part = sealed(image[at..at + length].to_vec(), sum);
                    image[at..at + length].copy_from_slice(&part);
                }
            }
            if let Ok(acpi) = Acpi::read(&Image(image.leak()), 0x40) {
                prop_assert!(acpi.apics().len() <= PROCESSORS_MAX);
            }
        }
    }
}
