// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Internet checksums (RFC 1071): the complement of a sum in ones' complement, which is the same in
//! either byte order.

/// Kinds of Ethernet frames, in their first bytes behind the addresses.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
/// Protocols of IP.
pub(super) const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where the checksum is in their headers.
pub(super) const TCP_SUM: usize = 16;
const UDP_SUM: usize = 6;

/// Where things are in a frame of TCP or UDP over IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The header of IP.
    pub(super) ip: usize,
    pub(super) version: u8,
    /// The header of TCP or UDP.
    pub(super) transport: usize,
    pub(super) protocol: u8,
    /// Where that ends, as IP says.
    end: usize,
}

/// 16 bits at a place.
pub(super) fn get16(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Writes 16 bits.
pub(super) fn put16(frame: &mut [u8], at: usize, value: u16) -> Option<()> {
    *frame.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
    Some(())
}

impl Places {
    /// Looks at a frame's headers. `None`: it is something else.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let mut ip = 14;
        if get16(frame, 12)? == VLAN {
            ip = 18;
        }
        match get16(frame, ip - 2)? {
            IPV4 => {
                let first = *frame.get(ip)?;
                let header = usize::from(first & 15) * 4;
                if first >> 4 != 4 || header < 20 {
                    return None;
                }
                let end = ip + usize::from(get16(frame, ip + 2)?);
                let protocol = *frame.get(ip + 9)?;
                Some(Self { ip, version: 4, transport: ip + header, protocol, end })
            }
            IPV6 => {
                let end = ip + 40 + usize::from(get16(frame, ip + 4)?);
                Some(Self { ip, version: 6, transport: ip + 40, protocol: *frame.get(ip + 6)?, end })
            }
            _ => None,
        }
    }

    /// The sum of what goes before TCP or UDP as if it were there: addresses, protocol, length.
    fn pseudo(&self, frame: &[u8], length: usize) -> Option<u64> {
        let addresses = if self.version == 4 { self.ip + 12..self.ip + 20 } else { self.ip + 8..self.ip + 40 };
        let rest = [0, self.protocol, (length >> 8) as u8, length as u8];
        Some(sum(frame.get(addresses)?) + sum(&rest))
    }

    /// Writes the checksum of TCP or UDP, over everything up to `end`.
    pub(super) fn seal(&self, frame: &mut [u8], end: usize) -> Option<()> {
        let at = self.transport + if self.protocol == TCP { TCP_SUM } else { UDP_SUM };
        put16(frame, at, 0)?;
        let data = frame.get(self.transport..end)?;
        let total = self.pseudo(frame, data.len())? + sum(data);
        // "None" is written as zero, in UDP: the other zero is meant.
        let value = match !fold(total) {
            0 if self.protocol == UDP => u16::MAX,
            value => value,
        };
        // In the order in which it was summed.
        *frame.get_mut(at..)?.first_chunk_mut()? = value.to_ne_bytes();
        Some(())
    }
}

/// Completes the checksum that the guest has left open. `None`: of what, can't be told.
pub(super) fn complete(frame: &mut [u8]) -> Option<()> {
    let places = Places::of(frame)?;
    let known = matches!(places.protocol, TCP | UDP) && places.end <= frame.len();
    if known { places.seal(frame, places.end) } else { None }
}

/// Writes the checksum of an IPv4 header.
pub(super) fn seal_ipv4(frame: &mut [u8], places: &Places) -> Option<()> {
    put16(frame, places.ip + 10, 0)?;
    let value = !fold(sum(frame.get(places.ip..places.transport)?));
    *frame.get_mut(places.ip + 10..)?.first_chunk_mut()? = value.to_ne_bytes();
    Some(())
}

/// Adds bytes up, as words in this machine's order. Sums of anything that has a place in memory can
/// be added to one another without overflow.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let add = |total: u64, word: u64| total + (word & 0xffff_ffff) + (word >> 32);
    let total = words.iter().fold(0, |total, word| add(total, u64::from_ne_bytes(*word)));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    add(total, u64::from_ne_bytes(last))
}

/// A sum in 16 bits.
fn fold(sum: u64) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_the_standard() {
        // RFC 1071, section 3.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)).to_ne_bytes(), 0xddf2u16.to_be_bytes());
    }

    /// As the standard says it: word by word.
    fn slow(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|two| u16::from_be_bytes([two[0], *two.get(1).unwrap_or(&0)]));
        let sum = words.fold(0u32, |sum, word| {
            let sum = sum + u32::from(word);
            (sum & 0xffff) + (sum >> 16)
        });
        sum as u16
    }

    proptest::proptest! {
        #[test]
        fn sums_are_those_of_the_standard(bytes: Vec<u8>) {
            let fast = u16::from_be_bytes(fold(sum(&bytes)).to_ne_bytes());
            // Zero has two forms.
            proptest::prop_assert_eq!(fast % 0xffff, slow(&bytes) % 0xffff);
        }
    }
}
