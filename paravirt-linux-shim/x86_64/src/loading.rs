// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Puts the kernel, the initrd and a first set of page tables into the guest's memory.

use heapless::String;
use parzelle_xen::abi::Hypercall;
use parzelle_xen::abi::PAGE;
use parzelle_xen::abi::hypercall::PAGE_STRIDE;
use parzelle_xen::notes::Kernel;
use parzelle_xen::site;
use parzelle_xen::start::{Description, Entry, Layout, identity};
use parzelle_xen::tune;
use zerocopy::IntoBytes;

use crate::failure::Failure;
use crate::ram::GuestRam;

/// An entry of the hypercall page: push rcx; push r11; mov $n, %eax; syscall; pop r11; pop rcx; ret.
const CALL: [u8; 14] = [0x51, 0x41, 0x53, 0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3];
/// That of `iret`, which does not come back: push rcx; push r11; push rax; mov $23, %eax; syscall.
const RETURN: [u8; 11] = [0x51, 0x41, 0x53, 0x50, 0xb8, 0, 0, 0, 0, 0x0f, 0x05];
/// Where the numbers are in them.
const CALL_NUMBER: usize = 4;
/// See [`CALL_NUMBER`].
const RETURN_NUMBER: usize = 5;

/// What Linux is told besides: when it has panicked, to say that rather than to begin again; to tell the time by the
/// processor's counter as it does on a bare machine, for that is the same and as steady here.
const BESIDES: &str = "xen_legacy_crash clocksource=tsc tsc=reliable";
/// Room for a command line that is too long by as much.
const COMMAND_LINE: usize = 1024 + 1 + BESIDES.len();

/// A guest that is laid out, and not yet written.
#[derive(Debug)]
pub struct Plan<'a> {
    description: Description<'a>,
    layout: Layout,
}

/// The command line for a guest whose description has this one. One that is too long stays too long.
#[must_use]
pub fn command_line(described: &str) -> String<COMMAND_LINE> {
    let mut whole = String::new();
    // What follows `--` is the first process's: ours goes first.
    let parts = [BESIDES, if described.is_empty() { "" } else { " " }, described];
    if parts.into_iter().try_for_each(|part| whole.push_str(part)).is_err() {
        // More than any guest takes: it is refused with a message.
        whole.clear();
        (0..COMMAND_LINE).for_each(|_| _ = whole.push(' '));
    }
    whole
}

impl<'a> Plan<'a> {
    /// Lays a guest out in `ram`.
    ///
    /// # Errors
    /// Says what is wrong with the files, or how much memory it would take.
    pub fn of(kernel: &'a Kernel<'a>, initrd: &[u8], command_line: &'a [u8], ram: &GuestRam) -> Result<Self, Failure> {
        let description = Description {
            frames: ram.told(),
            kernel,
            initrd: initrd.len() as u64,
            command_line,
            shared_info: ram.shared_info() * PAGE,
            console: None,
            store: None,
        };
        Ok(Self { layout: Layout::of(&description)?, description })
    }

    /// The frame of the console's rings.
    #[must_use]
    pub const fn console(&self) -> u64 {
        self.layout.console / PAGE
    }

    /// The frame of the store's rings.
    #[must_use]
    pub const fn store(&self) -> u64 {
        self.layout.store / PAGE
    }

    /// Writes everything. `console`, `store`: the ports of these.
    ///
    /// # Errors
    /// The kernel's segments make no sense.
    pub fn write(
        &mut self,
        ram: &GuestRam,
        initrd: &[u8],
        console: Option<u32>,
        store: Option<u32>,
    ) -> Result<Entry, Failure> {
        let mut memory = *ram;
        (self.description.console, self.description.store) = (console, store);
        self.layout.write(&self.description, &mut memory)?;
        if let Some(at) = self.layout.initrd {
            memory.write(at, initrd);
        }
        if let Some(at) = self.layout.hypercall_page {
            write_hypercalls(at, &memory);
        }
        let table = ram.machine_to_physical();
        identity(0, ram.frames(), |offset, words| ram.write(table + offset, words.as_bytes()));
        Ok(self.layout.entry())
    }

    /// Makes this kernel return by a jump `to` the shim, if that can be ([`site`]).
    pub fn shorten_return(&self, ram: &GuestRam, to: u64) {
        if let Some(at) = site::find(self.description.kernel) {
            ram.write(at, &site::jump(to));
        }
    }

    /// Replaces what this kernel would compute for nothing ([`tune`]); false: it isn't known.
    #[must_use]
    pub fn tune(&self, ram: &GuestRam) -> bool {
        let functions = tune::find(self.description.kernel);
        functions.iter().flatten().for_each(|at| ram.write(*at, &tune::IDENTITY));
        functions.is_some()
    }
}

/// Fills the hypercall page.
fn write_hypercalls(page: u64, ram: &GuestRam) {
    for number in 0..(PAGE / PAGE_STRIDE) as u32 {
        let at = page + u64::from(number) * PAGE_STRIDE;
        if number == Hypercall::Iret.number() {
            ram.write(at, &RETURN);
            ram.write(at + RETURN_NUMBER as u64, &number.to_le_bytes());
        } else {
            ram.write(at, &CALL);
            ram.write(at + CALL_NUMBER as u64, &number.to_le_bytes());
        }
    }
}
