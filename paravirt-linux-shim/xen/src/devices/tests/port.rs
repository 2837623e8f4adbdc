// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A network port of the host: two queues.

use std::collections::VecDeque;

use crate::devices::port::{FRAME_MAX, Port};

#[derive(Default)]
pub(super) struct FakePort {
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) room: usize,
    /// Those of what was sent last, and of all that arrives.
    pub(super) flags: u32,
    pub(super) waiting: VecDeque<Vec<u8>>,
}

impl Port for FakePort {
    fn room(&mut self) -> usize {
        self.room
    }

    fn send(&mut self, frame: &[u8], flags: u32) {
        assert!(self.room > 0 && frame.len() <= FRAME_MAX);
        self.room -= 1;
        self.sent.push(frame.to_vec());
        self.flags = flags;
    }

    fn is_waiting(&mut self) -> bool {
        !self.waiting.is_empty()
    }

    fn receive(&mut self, into: &mut [u8; FRAME_MAX]) -> Option<(usize, u32)> {
        let frame = self.waiting.pop_front()?;
        into[..frame.len()].copy_from_slice(&frame);
        Some((frame.len(), self.flags))
    }

    fn settle(&mut self) -> bool {
        self.waiting.is_empty()
    }
}
