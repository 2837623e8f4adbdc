// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel for QEMU's `virt` machine with EL2: puts together what the board has.
#![no_std]
#![no_main]

use core::fmt::{Arguments, Write};
use parzelle_arch_aarch64::{Board, EarlyTable, boot, panicked};
use parzelle_bsp_drivers::pl011::Pl011;

/// Where the PL011 is; boot.S prints there, too (`__console` in kernel.ld).
const CONSOLE: usize = 0x0900_0000;

/// The board.
static BOARD: Board = Board { name: "qemu-virt-aarch64", print };

/// For boot.S. The image lies where kernel.ld says.
#[unsafe(export_name = "parzelle_early_table")]
static EARLY_TABLE: EarlyTable = EarlyTable::new(0x4020_0000);

fn print(text: Arguments<'_>) {
    // SAFETY: there is a PL011 on this board, and the kernel's tables map it.
    let mut uart = unsafe { Pl011::new(CONSOLE) };
    // A console that fails has nowhere to say so.
    let _ = uart.write_fmt(text);
}

/// Where boot.S goes on.
#[unsafe(no_mangle)]
extern "C" fn parzelle_boot(device_tree: u64) -> ! {
    boot(&BOARD, device_tree)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    panicked(info)
}
