// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where things are on the virtual board: guest physical addresses and interrupt numbers.
//!
//! The device tree ([`crate::fdt`]) and the run loop ([`crate::machine`]) both read them from here,
//! so they can't disagree. The numbers are those of a board that every distribution kernel is
//! tested on.
//!
//! ```text
//!   0x0800_0000  distributor                       64 KiB
//!   0x080a_0000  redistributors: 64 KiB RD + 64 KiB SGI, once per vCPU
//!   0x0900_0000  UART (PL011)                       4 KiB
//!   0x4000_0000  RAM (where the plan puts it; this is the usual place)
//! ```

/// The most vCPUs that one guest can have: one `ICC_SGI1R_EL1` target list and one redistributor
/// row serve them.
pub const MAX_VCPUS: usize = 8;

/// Guest physical address of the interrupt distributor.
pub const GICD_BASE: u64 = 0x0800_0000;
/// Bytes of the distributor's frame.
pub const GICD_SIZE: u64 = 0x1_0000;
/// Guest physical address of vCPU 0's redistributor; the others follow.
pub const GICR_BASE: u64 = 0x080a_0000;
/// Bytes of one redistributor: the RD frame and the SGI frame.
pub const GICR_STRIDE: u64 = 0x2_0000;
/// Guest physical address of the UART.
pub const UART_BASE: u64 = 0x0900_0000;
/// Bytes of the UART's frame.
pub const UART_SIZE: u64 = 0x1000;
/// The UART's shared peripheral interrupt, counted as the device tree does.
pub const UART_SPI: u32 = 1;
/// The UART's interrupt as the interrupt controller counts: the SPIs begin at 32.
pub const UART_INTID: u32 = 32 + UART_SPI;
/// The virtual timer's interrupt (PPI 11).
pub const VIRTUAL_TIMER_INTID: u32 = 27;
/// The interrupt by which each vCPU is told of Xen's events (PPI 15; `GUEST_EVTCHN_PPI`).
pub const EVENT_INTID: u32 = 31;
/// The clock that the UART is told it runs on, in hertz. Nothing depends on it.
pub const UART_CLOCK_HZ: u32 = 24_000_000;

/// A range of guest physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first byte's address.
    pub start: u64,
    /// How many bytes.
    pub size: u64,
}

impl Range {
    /// Returns the address behind the last byte; a range that leaves the address space ends at its
    /// top.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// Tells whether `address` lies in the range.
    #[must_use]
    pub const fn contains(self, address: u64) -> bool {
        address >= self.start && address < self.end()
    }
}
