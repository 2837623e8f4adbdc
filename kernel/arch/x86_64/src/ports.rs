// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A partition's I/O ports, as the task segment's map (Intel SDM, Vol. 1, §19.5.2).
//!
//! Closing all ports is one store: the map is said to lie behind the segment. The map itself
//! keeps the ports of the partition that had some last, and is rewritten only when another with
//! ports comes.

use crate::descriptors::{NO_PORTS, Tss};
use core::hint::cold_path;
use parzelle_plan::IoPortsRecord;

/// The ports of a partition, as work: a range of none counts as one.
pub(crate) fn count(ranges: &[IoPortsRecord]) -> u64 {
    ranges.iter().map(|range| u64::from(range.count.max(1))).fold(0, u64::saturating_add)
}

/// What a core's map holds.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// The ports that are 0 in the map.
    open: &'static [IoPortsRecord],
}

impl Ports {
    /// Opens the ports of a partition, and only those.
    pub(crate) fn open(&mut self, segment: &mut Tss, ports: &'static [IoPortsRecord]) {
        segment.map = NO_PORTS;
        if ports.is_empty() {
            return;
        }
        cold_path();
        if !core::ptr::eq(ports, self.open) {
            mark(&mut segment.ports, self.open, 0xff);
            mark(&mut segment.ports, ports, 0);
            self.open = ports;
        }
        segment.map = Tss::MAP;
    }
}

/// Writes `value` (all zeros or all ones) for each port of the ranges.
fn mark(map: &mut [u8], ranges: &[IoPortsRecord], value: u8) {
    for range in ranges {
        let first = range.first as usize;
        let end = first.saturating_add(range.count as usize).min(map.len() * 8);
        let mut port = first;
        while port < end {
            // All ports of this byte that belong to the range, at once.
            let stop = end.min((port / 8 + 1) * 8);
            let bits = (((1u16 << (stop - port)) - 1) << (port % 8)) as u8;
            if let Some(byte) = map.get_mut(port / 8) {
                *byte = (*byte & !bits) | (value & bits);
            }
            port = stop;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromZeros;

    fn range(first: u32, count: u32) -> IoPortsRecord {
        IoPortsRecord { first, count }
    }

    #[test]
    fn a_partition_has_its_ports_and_no_others() {
        static UART: [IoPortsRecord; 1] = [IoPortsRecord { first: 0x3f8, count: 8 }];
        static OTHER: [IoPortsRecord; 2] =
            [IoPortsRecord { first: 0x71, count: 2 }, IoPortsRecord { first: 0xfffe, count: 2 }];
        let mut segment = Tss::new_box_zeroed().unwrap();
        segment.close();
        let mut ports = Ports::default();
        ports.open(&mut segment, &UART);
        assert_eq!(segment.ports[0x3f8 / 8], 0);
        assert_eq!({ segment.map }, Tss::MAP);
        ports.open(&mut segment, &[]);
        assert_eq!({ segment.map }, NO_PORTS);
        ports.open(&mut segment, &OTHER);
        assert_eq!(segment.ports[0x3f8 / 8], 0xff);
        assert_eq!(segment.ports[0x71 / 8], 0b1111_1001);
        assert_eq!(segment.ports[8191], 0b0011_1111);
        let zeros: u32 = segment.ports.iter().map(|byte| byte.count_zeros()).sum();
        assert_eq!(zeros, 4);
    }

    #[test]
    fn work_is_counted_whatever_the_ranges() {
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[range(0x3f8, 8), range(0x70, 2), range(1, 0)]), 11);
        assert!(count(&[range(0, u32::MAX), range(0, u32::MAX)]) > parzelle_abi::x86_64::IO_PORTS_MAX);
    }

    proptest! {
        #[test]
        fn marking_and_unmarking_leaves_nothing(ranges in prop::collection::vec((0u32..0x1_0010, 0u32..0x2000), 0..8)) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, count)| range(first, count)).collect();
            let mut map = vec![0xff; 8192];
            mark(&mut map, &ranges, 0);
            for port in 0..0x1_0000u32 {
                let open = ranges.iter().any(|r| port >= r.first && port - r.first < r.count);
                prop_assert_eq!(map[port as usize / 8] >> (port % 8) & 1 == 0, open);
            }
            mark(&mut map, &ranges, 0xff);
            prop_assert!(map.iter().all(|&byte| byte == 0xff));
        }
    }
}
