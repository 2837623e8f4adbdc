// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Values that are written as strings: times, sizes, rates, ranges, ends, names.
//!
//! Each has a parser of its own, which answers with the column *within* the string, so that a
//! finding can point at the unit and not only at the line.

mod end;
mod mac;
mod name;
mod pci;
mod quantity;
mod range;
mod rate;

pub use end::End;
pub use mac::{Mac, parse_mac};
pub use name::{Name, name_made_valid};
pub use pci::{PciAddress, PciId, parse_pci, parse_pci_id, parse_slot};
pub use quantity::{parse_size, parse_time, show_size, show_time};
pub use range::{parse_id, parse_range};
pub use rate::{parse_count_rate, parse_time_rate};

use std::ops::Range;

/// What is wrong with such a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is a number, but no unit.
    NoUnit,
    /// The unit is unknown; perhaps this one is meant.
    Unit(Option<&'static str>),
    /// The value is zero, too large or not a whole number of the smallest unit.
    Value(&'static str),
    /// It has not the form that is wanted.
    Form(&'static str),
}

/// A fault and the bytes of the string that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// What is wrong.
    pub fault: Fault,
    /// Where, in bytes from the string's first.
    pub column: Range<usize>,
}

impl TextError {
    /// Joins the two.
    pub fn new(fault: Fault, column: Range<usize>) -> Self {
        TextError { fault, column }
    }

    /// The same error in a longer string, in which this one begins at `by`.
    pub fn moved(mut self, by: usize) -> Self {
        self.column = self.column.start + by..self.column.end + by;
        self
    }
}
