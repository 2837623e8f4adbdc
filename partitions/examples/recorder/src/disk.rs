// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A virtual disk as the file system wants it: one request at a time, and it waits for each.

use core::cell::RefCell;
use core::fmt;

use embedded_sdmmc::{Block, BlockCount, BlockDevice, BlockIdx};
use parzelle_ring::block::{Client, SECTOR};
use parzelle_rt::abi::NEVER;
use parzelle_rt::{Error, Link, Volatile, wait};

/// The disk did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk failed")
    }
}

impl core::error::Error for Failed {}

/// A disk.
pub(crate) struct Disk {
    link: Link,
    client: RefCell<Client<Volatile>>,
    sectors: u64,
}

impl Disk {
    /// Waits until the disk's driver is there.
    pub(crate) fn open(link: Link) -> Result<Self, Error> {
        let mut client = Client::new(link.out(), link.incoming()).map_err(|_| Error::Bounds)?;
        let sectors = loop {
            if let Some(geometry) = client.geometry() {
                break geometry.sectors;
            }
            pause(&link, &mut client);
        };
        Ok(Self { link, client: RefCell::new(client), sectors })
    }

    /// Its size.
    pub(crate) fn sectors(&self) -> u64 {
        self.sectors
    }

    /// What was written survives a loss of power from here on.
    pub(crate) fn flush(&self) -> Result<(), Failed> {
        let mut client = self.client.borrow_mut();
        client.flush(0).map_err(|_| Failed)?;
        self.finish(&mut client, &mut [])
    }

    /// Waits for the answer; a read's data go to `into`.
    fn finish(&self, client: &mut Client<Volatile>, into: &mut [u8]) -> Result<(), Failed> {
        loop {
            if let Some(answer) = client.completed() {
                answer.status().result().map_err(|_| Failed)?;
                let wanted = !into.is_empty();
                return if wanted { answer.copy_out(0, into).ok_or(Failed) } else { Ok(()) };
            }
            pause(&self.link, client);
        }
    }
}

/// Wakes the driver and sleeps until it has news.
fn pause(link: &Link, client: &mut Client<Volatile>) {
    if client.notify() {
        link.ring();
    }
    if client.may_sleep() {
        wait(NEVER, link.event());
    }
}

impl BlockDevice for Disk {
    type Error = Failed;

    fn read(&self, blocks: &mut [Block], first: BlockIdx) -> Result<(), Failed> {
        let mut client = self.client.borrow_mut();
        for (sector, block) in (u64::from(first.0)..).zip(blocks) {
            client.read(sector, SECTOR, 0).map_err(|_| Failed)?;
            self.finish(&mut client, &mut block.contents)?;
        }
        Ok(())
    }

    fn write(&self, blocks: &[Block], first: BlockIdx) -> Result<(), Failed> {
        let mut client = self.client.borrow_mut();
        for (sector, block) in (u64::from(first.0)..).zip(blocks) {
            let mut write = client.write(sector, SECTOR, 0).map_err(|_| Failed)?;
            write.copy_in(0, &block.contents).ok_or(Failed)?;
            write.submit();
            self.finish(&mut client, &mut [])?;
        }
        Ok(())
    }

    fn num_blocks(&self) -> Result<BlockCount, Failed> {
        u32::try_from(self.sectors).map(BlockCount).map_err(|_| Failed)
    }
}
