// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel for QEMU's q35 machine: its parts, put together.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    use core::fmt::{Arguments, Write};
    use core::panic::PanicInfo;
    use parzelle_arch_x86_64::{Board, boot, in8, out8, panic};
    use parzelle_bsp_drivers::ns16550::{Ns16550, Registers};

    static BOARD: Board = Board { name: "qemu-q35-x86_64", print };

    /// The first serial port of every PC.
    const COM1: u16 = 0x3f8;

    /// The UART's registers: eight ports from here on.
    struct Ports(u16);

    impl Registers for Ports {
        fn read(&self, offset: u8) -> u8 {
            // SAFETY: a register of the UART.
            unsafe { in8(self.0 + u16::from(offset & 7)) }
        }

        fn write(&self, offset: u8, value: u8) {
            // SAFETY: a register of the UART. While a partition owns it, only the kernel's last
            // words come here.
            unsafe { out8(self.0 + u16::from(offset & 7), value) };
        }
    }

    fn print(text: Arguments<'_>) {
        let mut uart = Ns16550::new(Ports(COM1));
        uart.begin();
        // A console that fails has nowhere to say so.
        let _ = uart.write_fmt(text);
    }

    /// Where boot's assembly leads; `start_info` is PVH's.
    #[unsafe(no_mangle)]
    extern "C" fn parzelle_main(start_info: u64) -> ! {
        boot(&BOARD, start_info)
    }

    #[panic_handler]
    fn on_panic(info: &PanicInfo<'_>) -> ! {
        panic(info)
    }
}

/// There is nothing to run on the host; this lets tools compile the crate there.
#[cfg(not(target_os = "none"))]
fn main() {}
