// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the first instruction to the program's `main`, and what happens when it returns or panics.

use core::fmt::{Debug, Write};

use parzelle_abi::health::{ErrorId, Mode};

use crate::partition::{self, Partition};
use crate::{health, logger, time, vcpu};

unsafe extern "Rust" {
    /// The program, given by [`crate::entry!`].
    safe fn parzelle_rt_main();
}

/// Tells the tool against which revision of the kernel interface this was built (PZ0205): an ELF
/// note, whose last four bytes are the revision.
#[repr(C)]
struct Note {
    name_bytes: u32,
    value_bytes: u32,
    kind: u32,
    name: [u8; 12],
    revision: u32,
}

#[used]
#[cfg_attr(target_os = "none", unsafe(link_section = ".note.parzelle"))]
static NOTE: Note =
    Note { name_bytes: 9, value_bytes: 4, kind: 1, name: *b"parzelle\0\0\0\0", revision: parzelle_abi::REVISION };

/// Where `_start` goes: the loader has filled the memory, the stack is set.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) extern "C" fn parzelle_rt_start(info: u64, page: u64) -> ! {
    partition::set_pages(info);
    vcpu::set_first(page);
    let partition = Partition::get();
    logger::init(&partition);
    #[cfg(feature = "heap")]
    crate::heap::init(&partition);
    parzelle_rt_main();
    time::idle()
}

/// What `main` may return.
pub trait Outcome {
    /// Makes the best of it.
    fn conclude(self);
}

impl Outcome for () {
    fn conclude(self) {}
}

impl<T, E: Debug + core::fmt::Display> Outcome for Result<T, E> {
    fn conclude(self) {
        if let Err(error) = self {
            fail(format_args!("{error}"));
        }
    }
}

/// Names the function with which the program begins. It may return nothing (the partition then
/// waits for ever) or a `Result` (an error is reported to the health monitor).
///
/// ```ignore
/// parzelle_rt::entry!(main);
///
/// fn main() {
///     log::info!("hello");
/// }
/// ```
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn parzelle_rt_main() {
            $crate::start::Outcome::conclude($main());
        }
    };
}

/// Reports an application error with a message: to the log, and to the health monitor, which
/// decides. If it lets the partition live, the partition stops itself.
pub fn fail(message: core::fmt::Arguments<'_>) -> ! {
    logger::print(format_args!("error: {message}\n"));
    let mut text = Message { bytes: [0; MESSAGE], used: 0 };
    // What does not fit is cut.
    let _ = text.write_fmt(message);
    let bytes = text.bytes.get(..text.used).unwrap_or_default();
    // Whether or not these are refused: nothing is left to do but wait.
    let _ = health::raise(ErrorId::ApplicationError, bytes);
    let _ = health::set_mode(Mode::Idle);
    time::idle()
}

/// Bytes of a message to the health monitor (ARINC 653 Part 1, §3.8: MAX_ERROR_MESSAGE_SIZE).
const MESSAGE: usize = 128;

/// A message, cut where it is full.
struct Message {
    bytes: [u8; MESSAGE],
    used: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.used..).unwrap_or_default();
        let fits = text.len().min(room.len());
        room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        self.used += fits;
        if fits == text.len() { Ok(()) } else { Err(core::fmt::Error) }
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    match info.location() {
        Some(at) => fail(format_args!("{} ({}:{})", info.message(), at.file(), at.line())),
        None => fail(format_args!("{}", info.message())),
    }
}
