// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ethernet frames, as far as a switch looks at them (IEEE 802.3 clause 3, 802.1Q clause 9).
//!
//! ```text
//!   0            6            12     14
//!   │destination │ source     │ kind │ payload …            untagged
//!   │destination │ source     │ 8100 │ tag │ kind │ …       tagged: the kind moves by 4
//! ```

/// Bytes before the payload of an untagged frame.
pub const HEAD: usize = 14;
/// Bytes of a tag.
pub const TAG: usize = 4;
/// The largest frame without a tag, with 1500 bytes of payload. The check sum is the card's.
pub const LARGEST: usize = 1514;
/// Where destination and source end, and a tag is put in.
pub const ADDRESSES: usize = 12;

/// The kind of a tagged frame.
const TAGGED: u16 = 0x8100;
/// The kind of a frame that carries the tag of a provider (802.1ad).
const PROVIDER: u16 = 0x88a8;
/// The kind of ARP.
const ARP: u16 = 0x0806;

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// To everybody.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether it means several stations, or all.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it is for the bridge itself, and never forwarded (802.1D, table 7-10).
    pub fn is_reserved(self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        [a, b, c, d, e] == [0x01, 0x80, 0xc2, 0, 0] && f < 0x10
    }
}

/// What the beginning of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// For whom it is.
    pub destination: Mac,
    /// From whom it claims to be.
    pub source: Mac,
    /// The VLAN, if it has a tag.
    pub vlan: Option<u16>,
    /// Whether what follows (after the tag, if there is one) is yet another tag.
    pub is_tagged_inside: bool,
    /// The sender that an ARP packet claims to be.
    pub arp_sender: Option<Mac>,
}

impl Head {
    /// Reads the head of a frame; `None` if the frame is too short for one.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (destination, source) = (mac(frame, 0)?, mac(frame, 6)?);
        let outer = word(frame, 12)?;
        let (vlan, kind, at) = match outer {
            TAGGED => (Some(word(frame, 14)? & 0xfff), word(frame, 16)?, HEAD + TAG),
            _ => (None, outer, HEAD),
        };
        // An ARP packet has its sender's address after 8 bytes (RFC 826).
        let arp_sender = if kind == ARP { Some(mac(frame, at + 8)?) } else { None };
        let is_tagged_inside = kind == TAGGED || kind == PROVIDER;
        Some(Self { destination, source, vlan, is_tagged_inside, arp_sender })
    }
}

/// The tag of a VLAN, to be put in after [`ADDRESSES`].
pub fn tag(vlan: u16) -> [u8; TAG] {
    let ([a, b], [c, d]) = (TAGGED.to_be_bytes(), (vlan & 0xfff).to_be_bytes());
    [a, b, c, d]
}

/// The address at an offset.
fn mac(frame: &[u8], at: usize) -> Option<Mac> {
    frame.get(at..)?.first_chunk().copied().map(Mac)
}

/// The 16 bits at an offset.
fn word(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_with_and_without_a_tag() {
        let mut frame = [0u8; 64];
        frame[..6].copy_from_slice(&[0xff; 6]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 7]);
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        frame[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 8]);
        let head = Head::read(&frame).unwrap();
        assert_eq!((head.destination, head.source), (Mac::BROADCAST, Mac([2, 0, 0, 0, 0, 7])));
        assert_eq!((head.vlan, head.arp_sender), (None, Some(Mac([2, 0, 0, 0, 0, 8]))));
        let mut tagged = [0u8; 68];
        tagged[..12].copy_from_slice(&frame[..12]);
        tagged[12..16].copy_from_slice(&tag(0x123));
        tagged[16..].copy_from_slice(&frame[12..]);
        assert_eq!(Head::read(&tagged), Some(Head { vlan: Some(0x123), ..head }));
        tagged[16..18].copy_from_slice(&[0x88, 0xa8]);
        assert!(Head::read(&tagged).unwrap().is_tagged_inside);
    }

    #[test]
    fn short_frames_have_no_head() {
        let mut frame = [0u8; 32];
        assert_eq!(Head::read(&frame[..13]), None);
        assert!(Head::read(&frame[..14]).is_some());
        frame[12..14].copy_from_slice(&[0x81, 0x00]);
        assert_eq!(Head::read(&frame[..17]), None);
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        assert_eq!(Head::read(&frame[..27]), None);
    }
}
