// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Numbers and structures that guest and hypervisor agree on.
//!
//! The interface is Xen's, defined by its public headers (`xen/include/public`); only what a
//! paravirtualised x86-64 guest without privileges uses is here. Each structure states its size and
//! the offset of every field, and the compiler checks them: a slip is a build that fails.
//!
//! ```text
//!   hypercall  numbers              shared    shared_info, vcpu_info, clocks, run states
//!   errno      refusals             start     start_info, flags
//!   mmu        page tables          trap      traps, callbacks, vCPU contexts, iret frames
//!   event      event channels       memory    reservations, maps
//!   store     xenstore              grant     frames lent to devices
//!   ring block network   devices    sched vcpu version misc console   the smaller ones
//! ```

pub mod block;
pub mod console;
pub mod errno;
pub mod event;
pub mod grant;
pub mod hvm;
pub mod hypercall;
pub mod memory;
pub mod misc;
pub mod mmu;
pub mod network;
pub mod ring;
pub mod sched;
pub mod shared;
pub mod start;
pub mod store;
pub mod trap;
pub mod vcpu;
pub mod version;

pub use errno::Errno;
pub use hypercall::Hypercall;

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// The calling domain itself, where a domain is to be named (`xen.h`).
pub const DOMID_SELF: u16 = 0x7ff0;

/// Defines a structure of the interface; size and offsets are what the headers say, and checked.
macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident: $size:literal { $($(#[$field_doc:meta])* $at:literal $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
        impl Default for $name {
            fn default() -> Self {
                zerocopy::FromZeros::new_zeroed()
            }
        }
        const _: () = {
            assert!(size_of::<$name>() == $size);
            $(assert!(core::mem::offset_of!($name, $field) == $at);)*
        };
    )*};
}

/// Defines an enumeration with the numbers of the interface, and the way back from a number.
macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }
        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The one with this number.
            #[must_use]
            pub const fn from_number(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its number.
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }
        }
    };
}
use {numbers, wire};
