// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The UART of the board's architecture: a PL011 in memory, or a 16550 at I/O ports.

#[cfg(target_arch = "x86_64")]
#[path = "uart/ns16550.rs"]
mod kind;
#[cfg(target_arch = "aarch64")]
#[path = "uart/pl011.rs"]
mod kind;

pub(crate) use kind::Uart;

impl console::Sink for Uart {
    fn put(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.send(byte));
    }
}
