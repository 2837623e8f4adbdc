// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Segment descriptors, gates and the task segment (Intel SDM, Vol. 3A, §3.4.5, §6.14.1, §8.7).
//!
//! ```text
//!   0x00 null        0x08 kernel code   0x10 kernel data │ 0x18 user data
//!   0x20 a guest's   0x28 user data     0x30 user code   │ 0x38 task   0x48 a guest's LDT   0x58 null
//!   0x60–0x78 a guest's
//! ```
//! The order is what `syscall` (CS, CS+8) and `sysret` (base+8 stack, base+16 code) want, and what
//! Linux has in user mode. What is a guest's (`guest::segments`) is null while another partition runs: so
//! nobody else runs 32-bit code.

use core::mem::{offset_of, size_of};
use zerocopy::FromZeros;

/// The kernel's code.
pub const KERNEL_CODE: u16 = 0x08;
/// Where `sysret` counts from.
pub const SYSRET_BASE: u16 = 0x20 | 3;
/// A partition's data and stack.
pub const USER_DATA: u16 = 0x28 | 3;
/// A partition's code.
pub const USER_CODE: u16 = 0x30 | 3;
/// A guest's programs' 32-bit code, where Linux has it.
pub const USER_CODE_32: u16 = 0x20 | 3;
/// The task segment.
pub const TASK: u16 = 0x38;
/// IA32_STAR.
pub const STAR: u64 = (SYSRET_BASE as u64) << 48 | (KERNEL_CODE as u64) << 32;

/// Accessed: set from the start, so that the processor never writes to the table.
pub(crate) const ACCESSED: u64 = 1 << 40;
/// Readable code, writable data.
pub(crate) const READ_WRITE: u64 = 1 << 41;
/// Code.
pub(crate) const CODE: u64 = 1 << 43;
/// Not a system segment.
pub(crate) const SEGMENT: u64 = 1 << 44;
/// Privilege level 3.
pub(crate) const USER: u64 = 3 << 45;
/// Present.
pub(crate) const PRESENT: u64 = 1 << 47;
/// 64-bit code.
const LONG: u64 = 1 << 53;
/// System segment of type 9: a task segment, available.
const TASK_AVAILABLE: u64 = 9 << 40;

const DATA: u64 = PRESENT | SEGMENT | READ_WRITE | ACCESSED;
const TEXT: u64 = DATA | CODE | LONG;
/// Flat for 32-bit code, too: 4 GiB in pages, a stack of 32 bits.
const USER_DATA_FLAT: u64 = DATA | USER | 0x00cf_0000_0000_ffff;
/// Without `READ_WRITE`: executable only, so that it can't be loaded into a data segment register.
const USER_TEXT: u64 = PRESENT | SEGMENT | ACCESSED | CODE | LONG | USER;

/// A global descriptor table.
pub type Gdt = [u64; 16];

/// Makes the table of a core whose task segment lies at `task`.
pub const fn gdt(task: u64) -> Gdt {
    let [low, high] = system(task, size_of::<Tss>() as u64 - 1, TASK_AVAILABLE);
    [0, TEXT, DATA, USER_DATA_FLAT, 0, USER_DATA_FLAT, USER_TEXT, low, high, 0, 0, 0, 0, 0, 0, 0]
}

/// A system segment of 64-bit mode: of a kind, as it stands in bits 43:40.
pub(crate) const fn system(base: u64, limit: u64, kind: u64) -> [u64; 2] {
    let low = (limit & 0xffff)
        | (base & 0xff_ffff) << 16
        | kind
        | PRESENT
        | (limit >> 16 & 0xf) << 48
        | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// Ports that there are.
pub const PORTS: usize = 0x1_0000;
/// What [`Tss::map`] says when there is no map: behind the segment's limit, all ports fault.
pub const NO_PORTS: u16 = u16::MAX;

/// A task segment, with a bit for each port (1 = fault) and the byte of ones that ends the map.
#[derive(FromZeros)]
#[repr(C, packed(4))]
pub struct Tss {
    reserved0: u32,
    /// The stack of privilege level 0: where an interrupt of user mode saves.
    pub stack: u64,
    reserved1: [u64; 3],
    /// The stacks that gates name, from 1 on.
    pub ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    /// Offset of the map of ports.
    pub map: u16,
    /// The map.
    pub ports: [u8; PORTS / 8],
    end: u8,
}

impl Tss {
    /// Offset of the map of ports, as [`Tss::map`] takes it.
    pub const MAP: u16 = offset_of!(Tss, ports) as u16;

    /// Closes all ports.
    pub fn close(&mut self) {
        self.map = NO_PORTS;
        self.ports = [0xff; PORTS / 8];
        self.end = 0xff;
    }
}

/// A gate of the interrupt descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Gate([u64; 2]);

impl Gate {
    /// Makes an interrupt gate (masks interrupts) that only hardware can take: privilege level 0,
    /// so `int n` faults. `stack` 0 = the stack of the privilege level.
    pub const fn new(entry: u64, stack: u8) -> Gate {
        const INTERRUPT: u64 = 0xe << 40;
        let low = (entry & 0xffff)
            | (KERNEL_CODE as u64) << 16
            | ((stack & 7) as u64) << 32
            | INTERRUPT
            | PRESENT
            | (entry >> 16 & 0xffff) << 48;
        Gate([low, entry >> 32])
    }
}

/// What `lgdt` and `lidt` take.
#[repr(C, packed(2))]
pub struct TablePointer {
    /// Bytes − 1.
    pub limit: u16,
    /// Address.
    pub base: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL_DATA: u16 = 0x10;

    #[test]
    fn segments_are_those_of_the_manual() {
        // The values that every x86-64 system uses for flat segments, accessed bit set.
        let table = gdt(0);
        assert_eq!(table[1] >> 40, 0x20_9b, "kernel code");
        assert_eq!(table[2] >> 40, 0x93, "kernel data");
        assert_eq!([table[3], table[5]], [0x00cf_f300_0000_ffff; 2], "user data");
        assert_eq!(table[6] >> 40, 0x20_f9, "user code, not readable as data");
        assert_eq!((STAR >> 48) + 16, u64::from(USER_CODE));
        assert_eq!((STAR >> 48) + 8, u64::from(USER_DATA));
        assert_eq!((STAR >> 32) as u16 + 8, KERNEL_DATA);
        assert_eq!([SYSRET_BASE, USER_DATA, USER_CODE], [0x23, 0x2b, 0x33], "as Linux has them");
    }

    #[test]
    fn task_segment_is_laid_out_as_in_the_manual() {
        assert_eq!(offset_of!(Tss, stack), 4);
        assert_eq!(offset_of!(Tss, ist), 0x24);
        assert_eq!(offset_of!(Tss, map), 0x66);
        assert_eq!(Tss::MAP, 0x68);
        assert!(size_of::<Tss>() > 0x68 + 8192);
        let [low, high] = system(0xffff_8123_4567_89ab, 0x2068, TASK_AVAILABLE);
        assert_eq!(high, 0xffff_8123);
        assert_eq!(low, 0x4500_8967_89ab_2068);
    }

    #[test]
    fn gates_split_the_entry_and_are_closed_to_user_mode() {
        let Gate([low, high]) = Gate::new(0xffff_8000_1234_5678, 3);
        assert_eq!(high, 0xffff_8000);
        assert_eq!(low, 0x1234_8e03_0008_5678);
        assert_eq!(low >> 45 & 3, 0);
    }
}
