// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's memory and its side of hypercalls, and a host whose time passes only when it waits.

use std::collections::VecDeque;
use std::sync::Mutex;

use zerocopy::{Immutable, IntoBytes};

use crate::abi::shared::at;
use crate::abi::{Errno, Hypercall};
use crate::answer::MemoryFacts;
use crate::decode::Call;
use crate::domain::{Answer, Domain, Host, News, Next, Now, Setup, Vcpu};
use crate::events::{Port, VcpuEvents};
use crate::memory::fake::{FakeArguments, FakeFrames, FakePage};
use crate::memory::{Arguments, Frames, Page};
use crate::time::{Clock, Scale};

/// Frames of its memory.
pub(super) const FRAMES: u64 = 64;
/// Where the structures of its hypercalls lie.
pub(super) const SCRATCH: u64 = 0xffff_ffff_8100_0000;

/// A guest's memory, by address and by frame (two memories, here).
pub(super) struct Guest {
    pub(super) arguments: FakeArguments,
    pub(super) frames: FakeFrames,
}

impl Arguments for Guest {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        self.arguments.read(address, into)
    }
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        self.arguments.write(address, from)
    }
}

impl Frames for Guest {
    type Page = FakePage;
    fn page(&self, frame: u64) -> Option<FakePage> {
        self.frames.page(frame)
    }
}

/// All that a domain borrows, and its guest.
pub(super) struct House {
    pub(super) shared: FakePage,
    pub(super) console: FakePage,
    pub(super) guest: Guest,
    ports: Vec<Port>,
    channels: Vec<VcpuEvents<FakePage>>,
    vcpus: Vec<Vcpu>,
    cores: Vec<u8>,
}

impl House {
    /// One vCPU for each core in the list.
    pub(super) fn new(cores: &[u8]) -> Self {
        Self::sized(cores, 0x4000)
    }

    /// With so much memory for its structures.
    pub(super) fn sized(cores: &[u8], bytes: u64) -> Self {
        let arguments = FakeArguments::default();
        arguments.map(SCRATCH, bytes);
        Self {
            shared: FakePage::default(),
            console: FakePage::default(),
            guest: Guest { arguments, frames: FakeFrames::new(FRAMES as usize) },
            ports: (0..64).map(|_| Port::new()).collect(),
            channels: cores.iter().map(|_| VcpuEvents::new()).collect(),
            vcpus: cores.iter().map(|_| Vcpu::new()).collect(),
            cores: cores.to_vec(),
        }
    }

    pub(super) fn setup(&self) -> Setup<'_, FakePage> {
        Setup {
            shared_info: self.shared.clone(),
            console: Some(self.console.clone()),
            ports: &self.ports,
            channels: &self.channels,
            vcpus: &self.vcpus,
            cores: &self.cores,
            // Its time begins 1000 ns after the host's.
            clock: Clock { zero: 1000, offset: 0, scale: Scale::of_frequency(1_000_000_000).unwrap(), stable: true },
            wall_clock: 1_700_000_000_000_000_042,
            memory: MemoryFacts { frames: FRAMES, machine_to_physical: 0xffff_8000_0000_0000, machine_frames: FRAMES },
            queues: false,
            grants: None,
        }
    }

    pub(super) fn domain(&self) -> Domain<'_, FakePage> {
        Domain::new(self.setup()).unwrap()
    }
}

/// A vCPU of the guest in a domain.
pub(super) struct Cpu<'a, H: Host> {
    pub(super) house: &'a House,
    pub(super) domain: &'a Domain<'a, FakePage>,
    pub(super) index: u32,
    pub(super) host: &'a H,
}

impl<H: Host> Cpu<'_, H> {
    pub(super) fn call(&self, call: Hypercall, arguments: &[u64]) -> Answer {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let call = Call { number: call.number().into(), arguments: all };
        match call.decode(&self.house.guest) {
            Ok(request) => self.domain.handle(self.index, &request, &self.house.guest, self.host).unwrap(),
            Err(refusal) => Answer { result: self.domain.refuse(refusal, self.host), next: Next::Resume },
        }
    }

    /// A call with a structure in memory, at its own place for each vCPU. The result, signed.
    pub(super) fn ask<T: IntoBytes + Immutable>(&self, call: Hypercall, command: u64, with: &T) -> i64 {
        self.house.guest.put(self.scratch(), with).unwrap();
        self.call(call, &[command, self.scratch()]).result.cast_signed()
    }

    /// The same for `vcpu_op`.
    pub(super) fn ask_vcpu<T: IntoBytes + Immutable>(&self, command: u64, vcpu: u32, with: &T) -> i64 {
        self.house.guest.put(self.scratch(), with).unwrap();
        self.call(Hypercall::VcpuOp, &[command, vcpu.into(), self.scratch()]).result.cast_signed()
    }

    /// Word n of the structure, after the call.
    pub(super) fn word(&self, n: u64) -> u32 {
        self.house.guest.get(self.scratch() + 4 * n).unwrap()
    }

    pub(super) fn scratch(&self) -> u64 {
        SCRATCH + 0x800 * u64::from(self.index)
    }

    pub(super) fn bind_ipi(&self, vcpu: u32) -> u32 {
        assert_eq!(self.ask(Hypercall::EventChannelOp, 7, &[vcpu, 0]), 0);
        self.word(1)
    }

    pub(super) fn bind_timer(&self, vcpu: u32) -> u32 {
        assert_eq!(self.ask(Hypercall::EventChannelOp, 1, &[0, vcpu, 0]), 0);
        self.word(2)
    }

    pub(super) fn send(&self, port: u32) {
        assert_eq!(self.ask(Hypercall::EventChannelOp, 4, &port), 0);
    }

    /// Takes all events of this vCPU, as Linux does: in a set of 64 ports.
    pub(super) fn take_events(&self) -> u64 {
        let (page, info) = self.domain.channels().vcpu_info(self.index).unwrap();
        page.store8(info + at::UPCALL_PENDING, 0);
        match page.clear64(info + at::PENDING_SEL, u64::MAX) & 1 {
            0 => 0,
            _ => self.house.shared.clear64(at::PENDING, u64::MAX),
        }
    }

    /// Its interrupt flag.
    pub(super) fn mask(&self, mask: bool) {
        let (page, info) = self.domain.channels().vcpu_info(self.index).unwrap();
        page.store8(info + at::UPCALL_MASK, mask.into());
    }
}

/// What happens when nothing else will.
type Idle<'a> = Box<dyn Fn(&FakeHost<'_>) -> News + Send + Sync + 'a>;

/// A host with one vCPU: time is what the test says, and passes in [`Host::wait`].
pub(super) struct FakeHost<'a> {
    pub(super) state: Mutex<State>,
    /// What happens when it would wait for ever.
    idle: Option<Idle<'a>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) now: u64,
    pub(super) timer: Option<u64>,
    pub(super) kicked: Vec<u32>,
    pub(super) started: Vec<u32>,
    pub(super) yields: u32,
    pub(super) waits: u32,
    pub(super) printed: Vec<u8>,
    pub(super) typed: VecDeque<u8>,
    pub(super) unknown: Vec<(u64, u64)>,
}

impl<'a> FakeHost<'a> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { now: 1000, ..State::default() }), idle: None }
    }

    pub(super) fn when_idle(idle: impl Fn(&FakeHost<'_>) -> News + Send + Sync + 'a) -> Self {
        Self { idle: Some(Box::new(idle)), ..Self::new() }
    }

    pub(super) fn pass(&self, nanoseconds: u64) {
        let mut state = self.state.lock().unwrap();
        state.now = state.now.saturating_add(nanoseconds);
    }

    pub(super) fn printed(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().unwrap().printed).into_owned()
    }
}

impl Host for FakeHost<'_> {
    fn now(&self) -> Now {
        let now = self.state.lock().unwrap().now;
        Now { nanoseconds: now, counter: now }
    }
    fn kick(&self, vcpu: u32) {
        self.state.lock().unwrap().kicked.push(vcpu);
    }
    fn start_vcpu(&self, vcpu: u32) -> Result<(), Errno> {
        self.state.lock().unwrap().started.push(vcpu);
        Ok(())
    }
    fn set_timer(&self, deadline: Option<u64>) {
        self.state.lock().unwrap().timer = deadline;
    }
    fn wait(&self) -> News {
        let mut state = self.state.lock().unwrap();
        state.waits += 1;
        if let Some(deadline) = state.timer.take() {
            state.now = state.now.max(deadline);
            return News { timer: true, ..News::default() };
        }
        drop(state);
        self.idle.as_ref().expect("nothing will ever wake this vCPU")(self)
    }
    fn yield_now(&self) {
        let mut state = self.state.lock().unwrap();
        state.yields += 1;
        state.now = state.now.saturating_add(10);
    }
    fn console_out(&self, bytes: &[u8]) {
        self.state.lock().unwrap().printed.extend(bytes);
    }
    fn console_flush(&self) {}
    fn console_in(&self, into: &mut [u8]) -> usize {
        let typed = &mut self.state.lock().unwrap().typed;
        let bytes = typed.len().min(into.len());
        into.iter_mut().zip(typed.drain(..bytes)).for_each(|(to, from)| *to = from);
        bytes
    }
    fn unknown(&self, number: u64, argument: u64) {
        self.state.lock().unwrap().unknown.push((number, argument));
    }
}
