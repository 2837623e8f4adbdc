// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Requests of a network port's frontend (`io/netif.h`).

/// Bytes of an entry of the ring to the network.
pub const TX_ENTRY: usize = 12;
/// Bytes of an entry of the ring from it.
pub const RX_ENTRY: usize = 8;

/// Flags of a packet from the guest.
pub mod tx {
    /// The checksum is to be completed.
    pub const CHECKSUM_BLANK: u16 = 1;
    /// The data are known to be right.
    pub const DATA_VALIDATED: u16 = 2;
    /// The packet goes on in the next entry.
    pub const MORE_DATA: u16 = 4;
    /// The next entry says more of the packet.
    pub const EXTRA_INFO: u16 = 8;
}

/// Flags of a packet to the guest.
pub mod rx {
    /// The data are known to be right.
    pub const DATA_VALIDATED: u16 = 1;
    /// The checksum is incomplete.
    pub const CHECKSUM_BLANK: u16 = 2;
}

/// Entries that say more of a packet.
pub mod extra {
    /// It is to be cut into segments.
    pub const GSO: u8 = 1;
    /// Kinds are smaller than this.
    pub const KINDS: u8 = 5;
    /// One more follows.
    pub const MORE: u8 = 1;
    /// TCP over IPv4.
    pub const TCP_V4: u8 = 1;
    /// TCP over IPv6.
    pub const TCP_V6: u8 = 2;
}

/// How a packet went.
pub mod status {
    /// Well.
    pub const OKAY: i16 = 0;
    /// Not at all.
    pub const ERROR: i16 = -1;
    /// It was dropped.
    pub const DROPPED: i16 = -2;
    /// The entry was none of a packet's own.
    pub const NULL: i16 = 1;
}

/// Entries that a packet has at most, without extras.
pub const SLOTS_MAX: usize = 18;
