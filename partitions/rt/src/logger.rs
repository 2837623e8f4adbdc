// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Logging: text goes into the partition's log ring, a doorbell tells the console, and nobody
//! waits. The console tags every line with the partition's name, so a message may have several.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};
use parzelle_abi::info::ObjectKind;

use crate::device::{Doorbell, memory};
use crate::mem::Volatile;
use crate::partition::Partition;
use crate::ring::Writer;

/// The ring's address, or 0; its bytes; the doorbell's number.
static ADDRESS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static DOORBELL: AtomicU32 = AtomicU32::new(u32::MAX);
/// Somebody of this partition is writing.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Finds the ring and becomes the logger of the `log` crate; called once at the start.
pub(crate) fn init(partition: &Partition) {
    if let Some(object) = partition.objects_of(ObjectKind::LogOut).next() {
        let ring = memory(object);
        BYTES.store(ring.len(), Ordering::Relaxed);
        DOORBELL.store(object.doorbell, Ordering::Relaxed);
        ADDRESS.store(ring.address(), Ordering::Relaxed);
    }
    let level = partition.config().text("log").and_then(|level| level.parse().ok());
    log::set_max_level(level.unwrap_or(LevelFilter::Info));
    // Fails only if a logger is there already, which can't be at the start.
    let _ = log::set_logger(&Logger);
}

/// The ring, if the description gives one.
fn writer() -> Option<Writer> {
    let (address, bytes) = (ADDRESS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    // SAFETY: `init` stored what the information pages say of the ring; without one the range is
    // empty and no writer.
    Writer::new(unsafe { Volatile::new(address, bytes) })
}

/// Writes to the log as it is, without level or line end: prompts, reports, raw bytes.
pub fn write(bytes: &[u8]) {
    if let Some(writer) = writer() {
        exclusively(|| writer.write(bytes));
        ring();
    }
}

/// Writes formatted text to the log as it is.
pub fn print(arguments: fmt::Arguments<'_>) {
    if let Some(writer) = writer() {
        // Text with gaps is better than none: a formatting error is the argument's own.
        exclusively(|| {
            let _ = Lines(writer).write_fmt(arguments);
        });
        ring();
    }
}

/// Tells the console. Without a doorbell it looks by itself.
fn ring() {
    if let Some(bell) = Doorbell::of_number(DOORBELL.load(Ordering::Relaxed)) {
        // Refused only if the console is gone: then nobody reads the text either.
        let _ = bell.ring();
    }
}

/// Lets one vCPU write at a time. Whoever waits too long (an upcall handler that interrupted the
/// writer would wait for ever) writes anyway: lines may mix, nothing else happens.
fn exclusively(write: impl FnOnce()) {
    let mut patience = 10_000;
    while BUSY.swap(true, Ordering::Acquire) && patience > 0 {
        patience -= 1;
        core::hint::spin_loop();
    }
    write();
    BUSY.store(false, Ordering::Release);
}

/// Formatted text into the ring.
struct Lines(Writer);

impl Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The logger of the `log` crate.
struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let label = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug => "debug: ",
            Level::Trace => "trace: ",
        };
        print(format_args!("{label}{}\n", record.args()));
    }

    fn flush(&self) {}
}

/// Writes formatted text and a line end to the log, as it is.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::logger::print(::core::format_args!("{}\n", ::core::format_args!($($argument)*)))
    };
}

/// Writes formatted text to the log, as it is.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::logger::print(::core::format_args!($($argument)*)) };
}
