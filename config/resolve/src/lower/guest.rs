// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Guests: their memory, and the files that the shim starts them from.

use parzelle_abi::PAGE;
use parzelle_abi::info::layout;
use parzelle_plan::{DEVICE, EXECUTE, READ, WRITE};

use super::blocks::{Block, Blocks, Part};
use super::cell::{Backing, Cell};
use super::payload::Payload;
use crate::guest::{Obstacle, fits};
use crate::model::{Arch, Board, Partition};

/// Where a guest's memory lies for itself, on aarch64; on x86-64 at 0.
const RAM: u64 = 0x4000_0000;
/// Where a guest finds the registers of its GICv2's CPU interface.
const GICC: u64 = 0x0801_0000;
/// Bytes of these registers (Arm GICv2 architecture, §4.1.3).
const GICC_BYTES: u64 = 0x2000;
/// Where the head of an arm64 `Image` has `image_size`.
const IMAGE_SIZE: usize = 16;

/// The files of a guest.
#[derive(Clone, Debug, Default)]
pub struct GuestFiles {
    /// The kernel.
    pub kernel: Vec<u8>,
    /// The initial RAM disk.
    pub initrd: Vec<u8>,
}

/// What the shim is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guest {
    pub(crate) ram: u64,
    pub(crate) ram_guest: u64,
    pub(crate) ram_bytes: u64,
    /// Address and bytes in the shim.
    pub(crate) kernel: (u64, u64),
    pub(crate) initrd: (u64, u64),
    pub(crate) cmdline: String,
}

/// What a partition's host space adds to the addresses of [`layout`].
pub(crate) fn base(partition: &Partition, arch: Arch) -> u64 {
    match (&partition.guest, arch) {
        (Some(_), Arch::X86_64) => parzelle_abi::x86_64::SHIM,
        _ => 0,
    }
}

/// Adds a guest to its shim's partition. `Err` is the least memory that would do (PZ0306).
pub(crate) fn add(
    index: usize,
    partition: &Partition,
    files: &GuestFiles,
    board: &Board,
    cell: &mut Cell,
    payload: &mut Payload,
    blocks: &mut Blocks,
) -> Result<Guest, u64> {
    let bytes = partition.memory.value.unwrap_or(0).next_multiple_of(PAGE);
    let initrd = files.initrd.len() as u64;
    let needed = match (board.arch, fits(&files.kernel, initrd, bytes)) {
        (Arch::X86_64, Err(Obstacle::Kernel(needed) | Obstacle::Room(_, needed))) => needed,
        (Arch::X86_64, _) => 0,
        _ => unpacked(&files.kernel) + initrd + (4 << 20),
    };
    if bytes < needed {
        return Err(needed.next_multiple_of(1 << 20));
    }
    let block = blocks.add(Block {
        // Not zeroed: what Linux does not load it does not read, and the shim clears what it
        // promises to be clear.
        parts: vec![Part { name: "guest".to_owned(), bytes, zero: false }],
        partition: Some(index),
        users: Vec::new(),
        wish: partition.physical.map(|address| (address, partition.places.physical)),
        owner: partition.name.clone(),
        why: "memory",
    });
    let ram = cell.base + layout::GUEST;
    let (ram_guest, console) = match board.arch {
        Arch::Aarch64 => (RAM, "ttyAMA0"),
        Arch::X86_64 => (0, "hvc0"),
    };
    cell.map("guest memory", ram, Backing::Block(block, 0), bytes, READ | WRITE);
    cell.map_guest("memory", ram_guest, Backing::Block(block, 0), bytes, READ | WRITE | EXECUTE);
    if let Some(registers) = board.irqchip.get("virtual-cpu").filter(|_| super::gic(board) == 2) {
        let backing = Backing::Device(registers.start);
        cell.map_guest("virtual cpu interface", GICC, backing, GICC_BYTES, READ | WRITE | DEVICE);
    }
    let mut file = |name: &str, bytes: &[u8]| {
        if bytes.is_empty() {
            return (0, 0);
        }
        let (offset, size) = payload.add(name, bytes.to_vec());
        (cell.map_object(name, Backing::Image(offset), size, READ), bytes.len() as u64)
    };
    let kernel = file("guest kernel", &files.kernel);
    let initrd = file("guest initrd", &files.initrd);
    if board.arch == Arch::X86_64 {
        cell.tables = Some(blocks.add(pool(index, partition)));
    }
    let written = partition.guest.as_ref().map_or("", |guest| guest.cmdline.as_str());
    // Who names a console means that one only: Linux would print to both.
    let names_one = written.split_whitespace().any(|word| word.starts_with("console="));
    let console = if names_one { String::new() } else { format!("console={console} ") };
    Ok(Guest {
        ram,
        ram_guest,
        ram_bytes: bytes,
        kernel,
        initrd,
        cmdline: format!("{console}{written}").trim_end().to_owned(),
    })
}

/// The kernel's memory for the guest's page tables.
fn pool(index: usize, partition: &Partition) -> Block {
    let bytes = partition.guest.as_ref().map_or(0, |guest| guest.page_tables.value);
    Block {
        parts: vec![Part { name: "page tables".to_owned(), bytes: bytes.next_multiple_of(PAGE), zero: true }],
        partition: Some(index),
        users: Vec::new(),
        wish: None,
        owner: partition.name.clone(),
        why: "page tables",
    }
}

/// Bytes of a kernel in memory: `image_size` of an arm64 `Image` (Linux,
/// Documentation/arch/arm64/booting.rst), else the file's.
fn unpacked(kernel: &[u8]) -> u64 {
    let head = |at: usize| kernel.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    let arm64 = kernel.get(0x38..0x3c) == Some(b"ARM\x64".as_slice());
    let size = if arm64 { head(IMAGE_SIZE).map_or(0, u64::from_le_bytes) } else { 0 };
    size.max(kernel.len() as u64)
}
