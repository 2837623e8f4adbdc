// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Writing a plan, on the host.

pub use crate::tables::PlanBuilder;
use crate::tables::{Header, Span};
use crate::{MAGIC, REVISION, digest};
use alloc::vec::Vec;
use core::mem::{offset_of, size_of};
use zerocopy::{Immutable, IntoBytes};

/// Appends a table at a multiple of 8 bytes.
pub(crate) fn put<T: IntoBytes + Immutable>(blob: &mut Vec<u8>, records: &[T]) -> Span {
    blob.resize(blob.len().next_multiple_of(8), 0);
    let first = blob.len() as u32;
    blob.extend_from_slice(records.as_bytes());
    Span { first, count: records.len() as u32 }
}

impl PlanBuilder {
    /// Writes the blob: the same records, the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut blob = alloc::vec![0; size_of::<Header>()];
        let tables = self.put_tables(&mut blob);
        blob.resize(blob.len().next_multiple_of(8), 0);
        let mut header = Header {
            magic: MAGIC,
            digest: 0,
            revision: REVISION,
            abi: parzelle_abi::REVISION,
            bytes: blob.len() as u64,
            system: self.system,
            tables,
        };
        let head = size_of::<Header>();
        blob.splice(..head, header.as_bytes().iter().copied());
        header.digest = digest(blob.get(offset_of!(Header, revision)..).unwrap_or(&[]));
        blob.splice(..head, header.as_bytes().iter().copied());
        blob
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, PlanError};
    use parzelle_abi::info::Name;

    /// A blob at an address that is a multiple of 8.
    fn aligned(bytes: &[u8]) -> Vec<u64> {
        let mut words = alloc::vec![0u64; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        words
    }

    fn sample() -> Vec<u8> {
        let mut builder = PlanBuilder::default();
        builder.system.name = Name::new("sample").unwrap();
        builder.partitions.push(crate::PartitionRecord { name: Name::new("a").unwrap(), ..Default::default() });
        builder.peers.extend([1, 2, 3]);
        builder.write()
    }

    #[test]
    fn what_was_written_is_read() {
        let words = aligned(&sample());
        let plan = Plan::read(words.as_bytes()).unwrap();
        assert_eq!(plan.system.name.as_str(), "sample");
        assert_eq!(plan.partitions().len(), 1);
        assert_eq!(plan.partitions()[0].name.as_str(), "a");
        assert_eq!(plan.peers(), [1, 2, 3]);
        assert!(plan.windows().is_empty());
        assert_eq!(sample(), sample());
    }

    #[test]
    fn every_changed_bit_is_found() {
        let good = sample();
        for position in 0..good.len() {
            for bit in [0, 7] {
                let mut bad = good.clone();
                bad[position] ^= 1 << bit;
                let words = aligned(&bad);
                assert!(Plan::read(&words.as_bytes()[..bad.len()]).is_err(), "byte {position} bit {bit}");
            }
        }
    }

    #[test]
    fn every_shortened_plan_is_refused() {
        let good = sample();
        for length in 0..good.len() {
            let words = aligned(&good);
            let error = Plan::read(&words.as_bytes()[..length]).err().unwrap();
            assert!(matches!(error, PlanError::Truncated(..)), "{length}: {error}");
        }
    }
}
