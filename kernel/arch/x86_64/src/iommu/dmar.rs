// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What ACPI says of IOMMUs (VT-d, §8): as everything that firmware wrote, believed no further than
//! its length.

use crate::boot::number;

/// An IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Its registers.
    pub(crate) registers: u64,
    /// The requester id of the IO-APIC behind it.
    pub(crate) io_apic: u16,
}

impl Unit {
    /// Finds, in a table "DMAR", the unit with all devices behind it. Where there are several, each
    /// has some devices, and the kernel drives only one: that is none.
    pub(crate) fn find(table: &[u8]) -> Option<Unit> {
        let mut units = parts(table, 48, 4, |head| number(head, 2, 2)).filter(|unit| number(unit, 0, 2) == 0);
        let unit = units.next().filter(|unit| number(unit, 4, 1) & 1 != 0)?;
        let mut scopes = parts(unit, 16, 2, |head| number(head, 1, 1));
        let io_apic = scopes
            .find(|scope| number(scope, 0, 1) == 3)
            .map_or(0, |scope| number(scope, 5, 1) << 8 | number(scope, 6, 1) << 3 | number(scope, 7, 1));
        let found = Unit { registers: number(unit, 8, 8), io_apic: io_apic as u16 };
        units.next().is_none().then_some(found)
    }
}

/// The parts of a table, each with a head of so many bytes that tells its length.
fn parts(table: &[u8], from: usize, head: usize, length: impl Fn(&[u8]) -> u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = table.get(from..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let (part, after) = rest.split_at_checked((length(rest.get(..head)?) as usize).max(head))?;
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What QEMU's firmware tables say: one unit with all devices, and the IO-APIC at ff:00.0.
    fn table() -> Vec<u8> {
        let mut bytes = vec![0; 48];
        bytes.extend([0, 0, 24, 0, 1, 0, 0, 0]);
        bytes.extend(0xfed9_0000u64.to_le_bytes());
        bytes.extend([3, 8, 0, 0, 0, 0xff, 0, 0]);
        bytes
    }

    #[test]
    fn the_unit_and_the_io_apic_are_found() {
        let unit = Unit { registers: 0xfed9_0000, io_apic: 0xff00 };
        assert_eq!(Unit::find(&table()), Some(unit));
        let mut reserved = vec![0; 48];
        reserved.extend([1, 0, 24, 0]);
        reserved.extend([0; 20]);
        reserved.extend(&table()[48..]);
        assert_eq!(Unit::find(&reserved), Some(unit), "behind a part of another kind");
    }

    #[test]
    fn several_units_are_none() {
        let mut two = table();
        two.extend(&table()[48..]);
        assert_eq!(Unit::find(&two), None);
        let mut some = table();
        some[52] = 0;
        assert_eq!(Unit::find(&some), None, "not all devices");
        assert_eq!(Unit::find(&[]), None);
    }

    proptest! {
        #[test]
        fn no_table_is_believed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Unit::find(&bytes);
        }
    }
}
