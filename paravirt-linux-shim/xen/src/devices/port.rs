// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a network port is connected to.

/// Bytes of a frame at most, its checksum aside: as many as fit into a slot of a link.
pub const FRAME_MAX: usize = 2032;

/// A flag of a frame: whoever has sent it has computed the checksums just before, so nobody has to
/// look at them again between two guests of one machine. What comes from outside does not have it. A
/// sender that lies harms nobody: it could send the same data with checksums that are right.
pub const SUMMED: u32 = 1;

/// A port of a network, by which link ever. Frames may be lost on the way, as in any network.
pub trait Port {
    /// How many frames can be sent now; none while the other side isn't there.
    fn room(&mut self) -> usize;

    /// Sends a frame; without room, or if it is too long, it is lost. `flags`: see [`SUMMED`].
    fn send(&mut self, frame: &[u8], flags: u32);

    /// Whether a frame waits.
    fn is_waiting(&mut self) -> bool;

    /// Takes the next frame, and tells its length and flags.
    fn receive(&mut self, into: &mut [u8; FRAME_MAX]) -> Option<(usize, u32)>;

    /// Tells the other side what there is to do, and that this side is about to look at other
    /// things. False: something has come meanwhile.
    fn settle(&mut self) -> bool;
}
