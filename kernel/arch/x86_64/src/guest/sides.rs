// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The two sides of a guest's vCPU, and in which it is.
//!
//! ```text
//!   context page │ Context │ Sides │ … │ FP │    next page │ LDT │
//! ```

use crate::context::{Context, FP};
use crate::registers::flags;
use parzelle_abi::vcpu_page::GUEST;
use parzelle_abi::x86_64::{SHIM_END, VECTORS, vector};

/// The sides of a vCPU: the shim and what is foreign to it (`parzelle_abi::x86_64`). In its context page at
/// [`SIDES`]; the entry decides by it what goes where.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Sides {
    /// A program counter from here on, as signed numbers are ordered, is foreign. For a program that is no
    /// shim nothing is; in the guest context everything.
    pub(crate) own_end: i64,
    /// Where foreign code's doings are to be told, its low bits by context.
    pub(crate) vectors: u64,
    /// Where the kernel finds the guest's part of the vCPU page; 0: there is no guest.
    pub(crate) page: u64,
    /// Where the shim finds it.
    pub(crate) page_user: u64,
    /// The roots of host and guest context.
    pub(crate) roots: [u64; 2],
    /// The guest's segments, as in [`crate::descriptors::GUESTS`].
    pub(crate) segments: [u64; 5],
    /// DS, ES, FS, GS; here only while another vCPU is current.
    pub(crate) selectors: [u16; 4],
    /// The guest's life ([`super::Guest`]) that all this is of.
    pub(crate) life: u64,
}

/// The flags that a guest's program decides itself: beside those of all partitions TF, RF and ID.
pub(super) const FLAGS: u64 = flags::USER | flags::TF | flags::RF | 1 << 21;

/// Where it lies.
pub(crate) const SIDES: u64 = size_of::<Context>() as u64;
/// Where the entry finds what it decides by.
#[cfg(target_os = "none")]
pub(crate) const OWN_END: u64 = SIDES + core::mem::offset_of!(Sides, own_end) as u64;
/// Where a guest's LDT lies.
pub(crate) const LOCAL_TABLE: u64 = parzelle_abi::PAGE;
const _: () = assert!(SIDES as usize + size_of::<Sides>() <= FP as usize);

impl Sides {
    /// Of a program without a guest.
    pub(crate) const NONE: Sides = Sides {
        own_end: i64::MAX,
        vectors: 0,
        page: 0,
        page_user: 0,
        roots: [0; 2],
        segments: [0; 5],
        selectors: [0; 4],
        life: 0,
    };

    /// Of a shim that starts: its vCPU page is mapped at `page` for the kernel, at `page_user` for it.
    pub(crate) const fn shim(page: u64, page_user: u64, roots: [u64; 2], life: u64) -> Sides {
        let mut sides = Sides { page: page + GUEST, page_user: page_user + GUEST, roots, life, ..Sides::NONE };
        sides.set_host();
        sides
    }

    /// In the host context: returns what CR3 has to hold.
    pub(crate) const fn set_host(&mut self) -> u64 {
        (self.own_end, self.vectors) = (SHIM_END.cast_signed(), VECTORS + vector::HOST);
        self.roots[0]
    }

    /// In the guest context: likewise.
    pub(crate) const fn set_guest(&mut self) -> u64 {
        (self.own_end, self.vectors) = (i64::MIN, VECTORS);
        self.roots[1]
    }

    /// What CR3 has to hold.
    pub(crate) const fn root(&self) -> u64 {
        self.roots[if self.own_end == i64::MIN { 1 } else { 0 }]
    }

    /// Whether what runs at `rip` is not the program itself.
    pub(crate) const fn is_foreign(&self, rip: u64) -> bool {
        rip.cast_signed() >= self.own_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foreign_depends_on_the_context() {
        use parzelle_abi::x86_64::SHIM;
        let places = [0, 0x7fff_ffff_ffff, SHIM, SHIM_END - 1, SHIM_END, u64::MAX];
        assert_eq!(places.map(|rip| Sides::NONE.is_foreign(rip)), [false; 6]);
        let mut sides = Sides::shim(0, 0, [1, 2], 1);
        assert_eq!(places.map(|rip| sides.is_foreign(rip)), [true, true, false, false, true, true]);
        assert_eq!((sides.root(), sides.set_guest(), sides.root()), (1, 2, 2));
        assert_eq!(places.map(|rip| sides.is_foreign(rip)), [true; 6]);
    }
}
