// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The loader: every start of a partition, the first one included, begins here. It runs inside the
//! partition, in the partition's own windows, so a restart costs nobody else anything; and it is
//! not part of what must be trusted, since it can only reach what the partition can.
//!
//! ```text
//!   kernel ──► _start(info, vCPU page)        mapped read-only in every partition
//!                │  for each LoadSegment:     pristine bytes (image, read-only) ──► memory
//!                │                            and zeros behind them
//!                │                            (the heap is a segment of zeros)
//!                │    warm start: but for those that are retained
//!                ▼
//!              InfoHeader.entry(info, vCPU page)   with the stack as the kernel gave it
//! ```
//! Code is never copied: text is mapped from the image itself, read-only, so no instruction cache
//! has to hear of this; a barrier before the jump is enough (Arm ARM, B2.4.4).
#![no_std]
#![no_main]

mod arch;
mod copy;

use core::mem::offset_of;

use parzelle_abi::health::Mode;
use parzelle_abi::info::{InfoHeader, LoadSegment};
use parzelle_abi::vcpu_page::VcpuHead;

/// Loads the program; returns its entry.
///
/// # Safety
/// `info` and `page` are what the kernel passed at the start of this partition, and nothing of the
/// program runs yet.
pub(crate) unsafe extern "C" fn load(info: u64, page: u64) -> u64 {
    let mode = (page + offset_of!(VcpuHead, mode) as u64) as *const u64;
    // SAFETY: the vCPU page is mapped and begins with a `VcpuHead`.
    let warm = unsafe { mode.read_volatile() } == Mode::WarmStart as u64;
    // SAFETY: the information pages begin with a head; nobody writes to them.
    let header = unsafe { &*(info as *const InfoHeader) };
    let segments = (info + u64::from(header.segments)) as *const LoadSegment;
    // SAFETY: the tool wrote that many segments there, aligned.
    let segments = unsafe { core::slice::from_raw_parts(segments, header.segment_count as usize) };
    for segment in segments {
        if warm && segment.retained != 0 {
            continue;
        }
        // SAFETY: the tool describes pristine bytes that are mapped, and memory of this partition
        // that holds them and what is zero behind them; nothing of the program runs yet.
        unsafe { copy::copy(segment.to, segment.from, segment.bytes) };
        // SAFETY: as above.
        unsafe { copy::zero(segment.to + segment.bytes, segment.size.saturating_sub(segment.bytes)) };
    }
    header.entry
}

/// The loader has no bounds to check and nothing to unwrap; should it panic all the same, the
/// instruction that ends it is a fault, and the health monitor hears of it.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    arch::give_up()
}
