// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Virtio devices for driver partitions (virtio 1.2).
//!
//! ```text
//!   driver ──► Device::open(name)      MMIO, or PCI with MSI-X: `virtio-drivers` knows how
//!          ──► begin(features)         reset, negotiation
//!          ──► queue(n, dma)           a Queue in DMA memory
//!          ──► start()
//! ```
//! Transports come from the crate `virtio-drivers`. Its queue does not: it wants references to the
//! buffers, and the areas of links can't be had by reference, since a peer writes there at any time.
//! [`Queue`] knows addresses only, all in DMA memory that is reached by checked volatile accesses.
//!
//! Bus addresses are physical ones, with or without an IOMMU.
#![no_std]

pub mod device;
pub mod dma;
mod pci;
pub mod queue;

pub use device::{Device, Error, Kind};
pub use dma::{Dma, Region};
pub use queue::{Buffer, Queue};

/// Feature: the device speaks virtio 1 (VIRTIO_F_VERSION_1).
pub const VERSION_1: u64 = 1 << 32;
/// Feature: the device stands behind an IOMMU (VIRTIO_F_ACCESS_PLATFORM).
pub const ACCESS_PLATFORM: u64 = 1 << 33;
