// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a domain needs of the shim: time, other vCPUs, and the console.

use crate::abi::Errno;
use crate::events::VcpuSet;

/// A moment, by both of its clocks, read at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of the host's clock.
    pub nanoseconds: u64,
    /// The processor's counter, from which the guest computes its time.
    pub counter: u64,
}

/// What a vCPU was told, by events of the host: [`super::Domain::events`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Its own timer has fired: nothing is set any more.
    pub timer: bool,
    /// Another vCPU of the guest wants it to look ([`Host::kick`]).
    pub kick: bool,
    /// There is console input.
    pub input: bool,
}

/// The shim, as a vCPU's loop has it. All methods concern the vCPU that calls.
///
/// # Contract
/// Events are kept until they are taken: a [`Self::kick`] that comes before [`Self::wait`] ends that
/// at once. Whoever takes events elsewhere hands them to [`super::Domain::events`]. No method but
/// [`Self::wait`] waits for anything, and none is called with a lock held but [`Self::set_timer`]
/// and the console's.
pub trait Host {
    /// What time it is.
    fn now(&self) -> Now;

    /// Makes another vCPU leave the guest, or its [`Self::wait`], and look. It may not be started.
    fn kick(&self, vcpu: u32);

    /// Starts another vCPU's loop, which begins with [`super::Domain::begin`]. Once for each, when
    /// the guest brings it up for the first time. A loop that runs already is just kicked.
    ///
    /// # Errors
    /// What the guest is to be told.
    fn start_vcpu(&self, vcpu: u32) -> Result<(), Errno>;

    /// Sets this vCPU's only timer, by the host's clock, or stops it. What has passed fires at once.
    fn set_timer(&self, deadline: Option<u64>);

    /// Waits for an event: the timer, a kick, input.
    fn wait(&self) -> News;

    /// Lets others go first that share this core.
    fn yield_now(&self);

    /// Prints; may gather until [`Self::console_flush`].
    fn console_out(&self, bytes: &[u8]);

    /// Prints what was gathered. Called often: cheap if there is nothing.
    fn console_flush(&self);

    /// Takes console input: how many bytes. Fewer than there is room for: there are no more.
    fn console_in(&self, into: &mut [u8]) -> usize;

    /// The guest has signalled an end of the shim that is not the domain's own. Tells who is to be
    /// told in turn.
    fn signalled(&self, end: u32) -> VcpuSet {
        let _ = end;
        VcpuSet::NONE
    }

    /// Looks after devices, before the guest goes on or waits, and tells who is to be told. Called
    /// often: cheap if there is nothing.
    fn serve(&self) -> VcpuSet {
        VcpuSet::NONE
    }

    /// Whether [`Self::serve`] has more to do, so that nobody must wait.
    fn is_busy(&self) -> bool {
        false
    }

    /// Notes the first of a kind of call that does not exist here, with its first argument.
    fn unknown(&self, number: u64, argument: u64);
}
