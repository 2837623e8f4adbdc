// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A disk for `embedded-sdmmc`, which reads and writes FAT file systems.

use core::cell::RefCell;

use embedded_sdmmc::{Block, BlockCount, BlockDevice, BlockIdx};

use super::{Disk, Doorbells};
use crate::block::SECTOR;
use crate::{Error, Memory};

/// How many blocks go at a time: the file system mostly wants one.
const BATCH: usize = 8;
/// Bytes of a batch.
const BATCH_BYTES: usize = BATCH * Block::LEN;

// The trait's sectors are ours.
const _: () = assert!(Block::LEN as u64 == SECTOR);

/// A disk as FAT's block device. The trait takes `&self`, so it lies in a cell; nothing of it is
/// borrowed beyond a call.
#[derive(Debug)]
pub struct Blocks<M, B>(RefCell<Disk<M, B>>);

impl<M: Memory, B: Doorbells> Blocks<M, B> {
    /// Takes a disk.
    pub fn new(disk: Disk<M, B>) -> Self {
        Self(RefCell::new(disk))
    }

    /// Puts all that was written on stable storage, which the trait doesn't know of.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn flush(&self) -> Result<(), Error> {
        self.0.try_borrow_mut().map_err(|_| Error::Full)?.flush()
    }

    /// The disk again.
    pub fn into_inner(self) -> Disk<M, B> {
        self.0.into_inner()
    }
}

impl<M: Memory, B: Doorbells> BlockDevice for Blocks<M, B> {
    type Error = Error;

    fn read(&self, blocks: &mut [Block], first: BlockIdx) -> Result<(), Error> {
        let mut disk = self.0.try_borrow_mut().map_err(|_| Error::Full)?;
        let mut sector = u64::from(first.0);
        for batch in blocks.chunks_mut(BATCH) {
            let mut bytes = [0; BATCH_BYTES];
            let bytes = bytes.get_mut(..batch.len() * Block::LEN).unwrap_or_default();
            disk.read(sector, bytes)?;
            let contents = batch.iter_mut().zip(bytes.chunks_exact(Block::LEN));
            contents.for_each(|(block, bytes)| block.contents.copy_from_slice(bytes));
            sector += batch.len() as u64;
        }
        Ok(())
    }

    fn write(&self, blocks: &[Block], first: BlockIdx) -> Result<(), Error> {
        let mut disk = self.0.try_borrow_mut().map_err(|_| Error::Full)?;
        let mut sector = u64::from(first.0);
        for batch in blocks.chunks(BATCH) {
            let mut bytes = [0; BATCH_BYTES];
            let bytes = bytes.get_mut(..batch.len() * Block::LEN).unwrap_or_default();
            let contents = bytes.chunks_exact_mut(Block::LEN).zip(batch);
            contents.for_each(|(bytes, block)| bytes.copy_from_slice(&block.contents));
            disk.write(sector, bytes)?;
            sector += batch.len() as u64;
        }
        Ok(())
    }

    fn num_blocks(&self) -> Result<BlockCount, Error> {
        let disk = self.0.try_borrow().map_err(|_| Error::Full)?;
        // FAT's numbers have 32 bits: of a larger disk, that is what can be used.
        Ok(BlockCount(u32::try_from(disk.geometry().sectors).unwrap_or(u32::MAX)))
    }
}
