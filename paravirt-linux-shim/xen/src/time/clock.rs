// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Writing clocks to the guest: version odd, contents, version even. A reader that sees an odd
//! version, or another one afterwards, reads again.

use core::mem::offset_of;

use super::Scale;
use crate::abi::shared::{SharedInfo, TSC_STABLE, VcpuTimeInfo, at};
use crate::memory::Page;

/// Clocks begin here; a version is even when the clock can be read, and not 0.
const FIRST_VERSION: u32 = 2;

/// Where the parts of a wall clock lie, from its version on: the same on all architectures.
const SECONDS: usize = offset_of!(SharedInfo, wc_sec) - at::WALL_CLOCK;
const NANOSECONDS: usize = offset_of!(SharedInfo, wc_nsec) - at::WALL_CLOCK;
const SECONDS_HIGH: usize = offset_of!(SharedInfo, wc_sec_hi) - at::WALL_CLOCK;

/// A vCPU's clock: system time is `scale(counter - zero) + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The counter at system time `offset`.
    pub zero: u64,
    /// In nanoseconds.
    pub offset: u64,
    /// Ticks to nanoseconds.
    pub scale: Scale,
    /// The same counter, zero and scale on all vCPUs: user programs may read it without a call.
    pub stable: bool,
}

impl Clock {
    /// System time at a reading of the counter.
    #[must_use]
    pub fn system_time(&self, counter: u64) -> u64 {
        self.offset.wrapping_add(self.scale.nanoseconds(counter.wrapping_sub(self.zero)))
    }

    /// Writes it to the `vcpu_time_info` at `at` of `page`: `vcpu_info`'s [`at::TIME`], or an area
    /// that the guest registered for user programs.
    pub fn write<P: Page>(&self, page: &P, at: usize) {
        let version = begin(page, at + offset_of!(VcpuTimeInfo, version));
        page.store64(at + offset_of!(VcpuTimeInfo, tsc_timestamp), self.zero);
        page.store64(at + offset_of!(VcpuTimeInfo, system_time), self.offset);
        page.store32(at + offset_of!(VcpuTimeInfo, tsc_to_system_mul), self.scale.multiplier);
        let flags = if self.stable { TSC_STABLE } else { 0 };
        let tail = u32::from_le_bytes([self.scale.shift.cast_unsigned(), flags, 0, 0]);
        page.store32(at + offset_of!(VcpuTimeInfo, tsc_shift), tail);
        page.store32(at + offset_of!(VcpuTimeInfo, version), version);
    }
}

/// Writes to the shared page when, since 1970, system time was 0.
pub fn write_wall_clock<P: Page>(shared_info: &P, nanoseconds: u64) {
    const SECOND: u64 = 1_000_000_000;
    let seconds = nanoseconds / SECOND;
    let at = P::LAYOUT.wall_clock;
    let version = begin(shared_info, at);
    shared_info.store32(at + SECONDS, seconds as u32);
    shared_info.store32(at + SECONDS_HIGH, (seconds >> 32) as u32);
    shared_info.store32(at + NANOSECONDS, (nanoseconds % SECOND) as u32);
    shared_info.store32(at, version);
}

/// Makes a version odd and returns the even one that ends the change. Sequentially consistent, so
/// that no part of the change is seen before it.
fn begin<P: Page>(page: &P, at: usize) -> u32 {
    let was = page.set32(at, 1);
    ((was | 1).wrapping_add(1)).max(FIRST_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::fake::FakePage;

    /// Reads a clock as guests do.
    fn read(page: &FakePage, at: usize, counter: u64) -> Option<u64> {
        let version = page.load32(at);
        let tail = page.load32(at + 28).to_le_bytes();
        let scale = Scale { multiplier: page.load32(at + 24), shift: tail[0].cast_signed() };
        let time = page.load64(at + 16) + scale.nanoseconds(counter - page.load64(at + 8));
        (version & 1 == 0 && version != 0 && page.load32(at) == version).then_some(time)
    }

    #[test]
    fn the_guest_reads_what_was_written() {
        let page = FakePage::default();
        let scale = Scale::of_frequency(2_500_000_000).unwrap();
        let clock = Clock { zero: 1000, offset: 77, scale, stable: true };
        for round in 1..4 {
            clock.write(&page, at::TIME);
            assert_eq!(page.load32(at::TIME), 2 * round);
            assert_eq!(read(&page, at::TIME, 1000 + 2_500_000), Some(clock.system_time(1000 + 2_500_000)));
        }
        let time = clock.system_time(1000 + 2_500_000_000);
        assert!((1_000_000_075..=1_000_000_077).contains(&time), "{time}");
        assert_eq!(page.load8(at::TIME + 29), TSC_STABLE);
    }

    #[test]
    fn the_wall_clock_passes_2106() {
        let page = FakePage::default();
        write_wall_clock(&page, 5_000_000_000 * 1_000_000_000 + 42);
        let [version, low, ns, high] = [0, 4, 8, 12].map(|word| page.load32(at::WALL_CLOCK + word));
        assert_eq!((version, ns), (2, 42));
        assert_eq!(u64::from(high) << 32 | u64::from(low), 5_000_000_000);
    }
}
