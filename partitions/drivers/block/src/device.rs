// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The device's side: commands that may be under way at the same time, each in a slot.

/// What the device is told. Sectors are the device's, `bus` is where the device finds the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sectors to memory.
    Read {
        /// First sector.
        sector: u64,
        /// Bytes, whole sectors.
        bytes: u32,
        /// Memory that the device writes.
        bus: u64,
    },
    /// Memory to sectors.
    Write {
        /// First sector.
        sector: u64,
        /// Bytes, whole sectors.
        bytes: u32,
        /// Memory that the device reads.
        bus: u64,
    },
    /// All that was written, and whose completion was told, is to survive a loss of power.
    Flush,
    /// What these sectors hold is of no more interest.
    Discard {
        /// First sector.
        sector: u64,
        /// How many.
        sectors: u32,
    },
}

/// A device with [`Device::SLOTS`] commands under way at most.
pub trait Device {
    /// How many slots it has; slots are numbered from 0.
    const SLOTS: usize;

    /// Sectors of 512 bytes.
    fn capacity(&self) -> u64;

    /// Whether it can only be read.
    fn is_read_only(&self) -> bool;

    /// Whether [`Command::Flush`] does something. If not, what was written is safe already.
    fn can_flush(&self) -> bool;

    /// Whether it knows [`Command::Discard`].
    fn can_discard(&self) -> bool;

    /// Begins a command in a slot that is free. The device need not notice before [`Self::kick`].
    fn begin(&mut self, slot: usize, command: Command);

    /// Tells the device that there is something to do, if it was not told yet.
    fn kick(&mut self);

    /// A slot whose command has ended, and whether it succeeded. The slot is free again.
    fn finished(&mut self) -> Option<(usize, bool)>;
}
