// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What ACPI says of IOMMUs (VT-d, §8): as everything that firmware wrote, believed no further than
//! its length.

use crate::boot::number;

/// An IOMMU: its part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit(&'static [u8]);

impl Unit {
    /// Finds, in a table "DMAR", the only unit. Where there are several, each has some devices, and the
    /// kernel drives only one: that is none.
    pub(crate) fn find(table: &'static [u8]) -> Option<Unit> {
        let mut units = parts(table, 48, 4, |head| number(head, 2, 2)).filter(|unit| number(unit, 0, 2) == 0);
        let unit = units.next()?;
        units.next().is_none().then_some(Unit(unit))
    }

    /// Where its registers are.
    pub(crate) fn registers(self) -> u64 {
        number(self.0, 8, 8)
    }

    /// The requester ids of devices of a kind behind it (§8.3.1): 1 PCI function, 3 IO-APIC.
    fn behind(self, kind: u64) -> impl Iterator<Item = u64> {
        let scopes = parts(self.0, 16, 2, |head| number(head, 1, 1)).filter(move |scope| number(scope, 0, 1) == kind);
        scopes.map(|scope| number(scope, 5, 1) << 8 | number(scope, 6, 1) << 3 | number(scope, 7, 1))
    }

    /// The requester id of the IO-APIC behind it.
    pub(crate) fn io_apic(self) -> Option<u16> {
        self.behind(3).next().map(|id| id as u16)
    }

    /// Whether it stands before a PCI function.
    pub(crate) fn has(self, id: u32) -> bool {
        number(self.0, 4, 1) & 1 != 0 || self.behind(1).any(|other| other == u64::from(id))
    }
}

/// The parts of a table, each with a head of so many bytes that tells its length.
fn parts(
    table: &'static [u8],
    from: usize,
    head: usize,
    length: impl Fn(&[u8]) -> u64,
) -> impl Iterator<Item = &'static [u8]> {
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

    /// What QEMU's firmware tables say: one unit with the IO-APIC at ff:00.0, and 00:03.0.
    fn table() -> Vec<u8> {
        let mut bytes = vec![0; 48];
        bytes.extend([0, 0, 32, 0, 0, 0, 0, 0]);
        bytes.extend(0xfed9_0000u64.to_le_bytes());
        bytes.extend([3, 8, 0, 0, 0, 0xff, 0, 0]);
        bytes.extend([1, 8, 0, 0, 0, 0, 3, 0]);
        bytes
    }

    #[test]
    fn the_unit_and_what_is_behind_it_are_found() {
        let unit = Unit::find(table().leak()).unwrap();
        assert_eq!((unit.registers(), unit.io_apic()), (0xfed9_0000, Some(0xff00)));
        assert!(unit.has(3 << 3) && !unit.has(4 << 3) && !unit.has(0xff00));
        let mut reserved = vec![0; 48];
        reserved.extend([1, 0, 24, 0]);
        reserved.extend([0; 20]);
        reserved.extend(&table()[48..]);
        assert_eq!(Unit::find(reserved.leak()), Some(unit), "behind a part of another kind");
        let mut all = table();
        all[52] = 1;
        assert!(Unit::find(all.leak()).unwrap().has(4 << 3));
    }

    #[test]
    fn several_units_are_none() {
        let mut two = table();
        two.extend(&table()[48..]);
        assert_eq!(Unit::find(two.leak()), None);
        assert_eq!(Unit::find(&[]), None);
    }

    proptest! {
        #[test]
        fn no_table_is_believed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let unit = Unit::find(bytes.leak());
            let _ = unit.map(|unit| (unit.registers(), unit.io_apic(), unit.has(3)));
        }
    }
}
