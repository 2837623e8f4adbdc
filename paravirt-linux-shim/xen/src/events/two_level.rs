// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The two-level scheme: a bit for each port, and for each vCPU a bit for each 64 ports.
//!
//! ```text
//!   shared page   evtchn_pending[64], evtchn_mask[64]      port = 64 w + b
//!   vcpu_info     evtchn_pending_sel                       bit w: look at word w
//! ```

use spin::relax::RelaxStrategy;

use super::Events;
use super::port::State;
use super::vcpu::VcpuSet;
use crate::abi::shared::at;
use crate::memory::Page;

/// Offset of a port's word in a bitmap, and its bit.
fn place(port: u32) -> (usize, u64) {
    (port as usize / 64 * 8 % 512, 1 << (port % 64))
}

impl<P: Page, R: RelaxStrategy> Events<'_, P, R> {
    pub(super) fn raise_two_level(&self, port: u32, state: &State) -> VcpuSet {
        let (word, bit) = place(port);
        let was = self.shared_info.set64(P::LAYOUT.pending + word, bit);
        if was & bit != 0 || self.shared_info.load64(P::LAYOUT.mask + word) & bit != 0 {
            return VcpuSet::NONE;
        }
        self.select(port, state.vcpu)
    }

    pub(super) fn unmask_two_level(&self, port: u32, state: &State) -> VcpuSet {
        let (word, bit) = place(port);
        let was = self.shared_info.clear64(P::LAYOUT.mask + word, bit);
        if was & bit == 0 || self.shared_info.load64(P::LAYOUT.pending + word) & bit == 0 {
            return VcpuSet::NONE;
        }
        self.select(port, state.vcpu)
    }

    pub(super) fn is_pending_two_level(&self, port: u32) -> bool {
        let (word, bit) = place(port);
        self.shared_info.load64(P::LAYOUT.pending + word) & bit != 0
    }

    /// Forgets that a port is pending, and tells whether it was.
    pub(super) fn clear_two_level(&self, port: u32) -> bool {
        let (word, bit) = place(port);
        self.shared_info.clear64(P::LAYOUT.pending + word, bit) & bit != 0
    }

    /// Sets the vCPU's selector bit; if that is news, its upcall.
    fn select(&self, port: u32, vcpu: u8) -> VcpuSet {
        let index = u32::from(vcpu);
        let Some(info) = self.vcpu(index).ok().and_then(|v| v.info(index, &self.shared_info)) else {
            return VcpuSet::NONE;
        };
        let bit = 1u64 << (port / 64 % 64);
        let news = info.page.set64(info.at + at::PENDING_SEL, bit) & bit == 0;
        if news && info.set_upcall_pending() { VcpuSet::NONE.with_vcpu(index) } else { VcpuSet::NONE }
    }
}
