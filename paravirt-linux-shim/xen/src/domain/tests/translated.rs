// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The hypercalls of a boot of Linux 6.1 on arm64, in its order; and of 5.10, where it differs.

use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;
use zerocopy::{Immutable, IntoBytes};

use super::guest::FakeHost;
use crate::abi::hvm::Parameter;
use crate::abi::shared::{Layout, at};
use crate::abi::{Errno, Hypercall, console};
use crate::answer::MemoryFacts;
use crate::decode::Call;
use crate::domain::{Answer, Domain, Given, Next, Setup, Vcpu};
use crate::events::{Port, VcpuEvents};
use crate::memory::fake::{FakeArguments, FakePage};
use crate::memory::{Arguments, Frames, Page};
use crate::time::{Clock, Scale};

const LAYOUT: Layout = Layout::ARM64;
/// Where the structures of its hypercalls lie.
const SCRATCH: u64 = 0xffff_8000_0800_b000;
/// Ports of the guest.
const PORTS: usize = 64;

/// A frame of a guest on arm64; none: the shared page, wherever that is.
#[derive(Clone)]
struct Frame(Option<FakePage>, &'static Mutex<FakePage>);

impl Frame {
    fn page(&self) -> FakePage {
        self.0.clone().unwrap_or_else(|| self.1.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Page for Frame {
    const LAYOUT: Layout = LAYOUT;
    fn load8(&self, at: usize) -> u8 {
        self.page().load8(at)
    }
    fn store8(&self, at: usize, value: u8) {
        self.page().store8(at, value);
    }
    fn load32(&self, at: usize) -> u32 {
        self.page().load32(at)
    }
    fn store32(&self, at: usize, value: u32) {
        self.page().store32(at, value);
    }
    fn set32(&self, at: usize, bits: u32) -> u32 {
        self.page().set32(at, bits)
    }
    fn clear32(&self, at: usize, bits: u32) -> u32 {
        self.page().clear32(at, bits)
    }
    fn exchange32(&self, at: usize, expected: u32, new: u32) -> Result<(), u32> {
        self.page().exchange32(at, expected, new)
    }
    fn load64(&self, at: usize) -> u64 {
        self.page().load64(at)
    }
    fn store64(&self, at: usize, value: u64) {
        self.page().store64(at, value);
    }
    fn set64(&self, at: usize, bits: u64) -> u64 {
        self.page().set64(at, bits)
    }
    fn clear64(&self, at: usize, bits: u64) -> u64 {
        self.page().clear64(at, bits)
    }
}

/// A guest's memory, and what its shim has for it.
struct Guest {
    arguments: FakeArguments,
    frames: Vec<FakePage>,
    shared: &'static Mutex<FakePage>,
    grants: Mutex<Vec<u64>>,
    console: Mutex<u32>,
}

impl Guest {
    fn new() -> Self {
        let arguments = FakeArguments::default();
        arguments.map(SCRATCH, 0x1000);
        let frames: Vec<_> = (0..16).map(|_| FakePage::default()).collect();
        frames[5].store64(LAYOUT.pending, u64::MAX);
        let shared = Box::leak(Box::new(Mutex::new(FakePage::default())));
        Self { arguments, frames, shared, grants: Mutex::default(), console: Mutex::default() }
    }

    fn frame(&self, number: usize) -> Frame {
        Frame(Some(self.frames[number].clone()), self.shared)
    }
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
    type Page = Frame;
    fn page(&self, frame: u64) -> Option<Frame> {
        ((frame as usize) < self.frames.len()).then(|| self.frame(frame as usize))
    }
}

impl Given<Frame> for Guest {
    fn parameter(&self, parameter: Parameter) -> u64 {
        match parameter {
            Parameter::ConsoleFrame => 7,
            Parameter::ConsolePort => (*self.console.lock().unwrap()).into(),
            Parameter::StoreFrame | Parameter::StorePort => 0,
        }
    }
    fn share_info(&self, page: Frame) {
        *self.shared.lock().unwrap() = page.page();
    }
    fn share_grants(&self, index: u64, _: Frame) -> Result<(), Errno> {
        self.grants.lock().unwrap().push(index);
        if index < 8 { Ok(()) } else { Err(Errno::Invalid) }
    }
}

/// Runs a test on two vCPUs.
fn with_guest(test: impl FnOnce(&Guest, &Domain<'_, Frame>, &FakeHost<'_>)) {
    let guest = Guest::new();
    let ports: Vec<_> = (0..PORTS).map(|_| Port::new()).collect();
    let channels = [VcpuEvents::new(), VcpuEvents::new()];
    let vcpus = [Vcpu::new(), Vcpu::new()];
    let setup = Setup {
        shared_info: Frame(None, guest.shared),
        console: Some(guest.frame(7)),
        ports: &ports,
        channels: &channels,
        vcpus: &vcpus,
        cores: &[0, 1],
        clock: Clock { zero: 0, offset: 0, scale: Scale::of_frequency(1_000_000_000).unwrap(), stable: true },
        wall_clock: 0,
        memory: MemoryFacts { frames: 16, machine_to_physical: 0, machine_frames: 16 },
        queues: false,
        grants: None,
    };
    let domain = Domain::new(setup).unwrap();
    (0..2).for_each(|vcpu| domain.appear(vcpu));
    *guest.console.lock().unwrap() = domain.console_port().unwrap();
    test(&guest, &domain, &FakeHost::new());
}

struct Cpu<'a> {
    guest: &'a Guest,
    domain: &'a Domain<'a, Frame>,
    host: &'a FakeHost<'a>,
    index: u32,
}

impl Cpu<'_> {
    fn call(&self, call: Hypercall, arguments: [u64; 3]) -> Answer {
        let [a, b, c] = arguments;
        let call = Call { number: call.number().into(), arguments: [a, b, c, 0, 0, 0] };
        match call.decode(self.guest) {
            Ok(request) => self.domain.handle_translated(self.index, &request, self.guest, self.guest, self.host),
            Err(refusal) => Answer { result: self.domain.refuse(refusal, self.host), next: Next::Resume },
        }
    }

    fn ask<T: IntoBytes + Immutable>(&self, call: Hypercall, command: u64, with: &T) -> i64 {
        self.guest.put(SCRATCH, with).unwrap();
        self.call(call, [command, SCRATCH, 0]).result.cast_signed()
    }

    fn register(&self, frame: u64, offset: u64) -> i64 {
        self.guest.put(SCRATCH, &[frame, offset]).unwrap();
        self.call(Hypercall::VcpuOp, [10, self.index.into(), SCRATCH]).result.cast_signed()
    }

    fn parameter(&self, index: u64) -> (i64, u64) {
        let result = self.ask(Hypercall::HvmOp, 1, &[0x7ff0 | index << 32, 77]);
        (result, self.guest.get(SCRATCH + 8).unwrap())
    }

    /// Puts something at a frame of the guest's.
    fn place(&self, space: u64, index: u64, frame: u64) -> i64 {
        self.ask(Hypercall::MemoryOp, 7, &[0x7ff0 | space << 32, index, frame])
    }
}

#[test]
fn linux_boots_and_is_told_of_events() {
    with_guest(|guest, domain, host| {
        let cpu = Cpu { guest, domain, host, index: 0 };
        let console = domain.console_port().unwrap();
        assert_eq!(cpu.ask(Hypercall::XenVersion, 6, &[0u32; 2]), 0);
        assert_eq!(guest.get::<[u32; 2]>(SCRATCH), Ok([0, 0x1_0004]));
        assert_eq!(cpu.parameter(18), (0, console.into()));
        assert_eq!(cpu.parameter(17), (0, 7));
        assert_eq!(cpu.parameter(2), (0, 0), "no store");
        assert_eq!(cpu.parameter(99).0, Errno::Invalid.result().cast_signed());
        // It prints, and somebody types, before it has a shared page.
        assert_eq!(cpu.ask(Hypercall::EventChannelOp, 4, &console), 0);
        guest.frames[7].store8(console::at::OUT, b'x');
        guest.frames[7].store32(console::at::OUT_PROD, 1);
        host.state.lock().unwrap().typed.push_back(b'y');
        domain.events(0, crate::domain::News { input: true, ..Default::default() });
        domain.look_outside(0, host);
        assert!(!domain.take_told(0), "nobody could hear it");
        assert_eq!(cpu.ask(Hypercall::EventChannelOp, 4, &console), 0);
        assert_eq!(host.printed(), "x");
        assert_eq!(guest.frames[7].load8(console::at::IN), b'y');

        // What was in its page is forgotten; a page that it hasn't is refused.
        assert_eq!(cpu.place(0, 0, 5), 0);
        assert_eq!(guest.frames[5].load64(LAYOUT.pending), 0);
        assert!(cpu.place(0, 0, 16) < 0 && cpu.place(2, 0, 5) < 0);
        assert_eq!((cpu.place(1, 3, 6), cpu.place(1, 8, 6) < 0), (0, true));
        assert_eq!(*guest.grants.lock().unwrap(), [3, 8]);

        // vCPUs register, each for itself, and are told that they have to look.
        let other = Cpu { guest, domain, host, index: 1 };
        assert_eq!((cpu.register(9, 64), other.register(9, 128)), (0, 0));
        assert!(domain.take_told(0) && domain.take_told(1) && !domain.take_told(1));
        assert_eq!(guest.frames[9].load64(64 + at::PENDING_SEL), u64::MAX);
        assert_eq!(guest.frames[9].load64(64 + 48), 0, "48 bytes are its own");

        // The second one gets the console's events.
        guest.frames[9].store8(128, 0);
        guest.frames[9].store64(128 + at::PENDING_SEL, 0);
        assert_eq!(cpu.ask(Hypercall::EventChannelOp, 8, &[console, 1]), 0);
        domain.raise(0, console, host);
        assert_eq!(host.state.lock().unwrap().kicked, [1]);
        assert_eq!(guest.frames[5].load64(LAYOUT.pending), 1 << console);
        assert_eq!((guest.frames[9].load8(128), guest.frames[9].load64(128 + at::PENDING_SEL)), (1, 1));
        domain.raise(0, console, host);
        assert_eq!(host.state.lock().unwrap().kicked, [1], "it knows");
    });
}

#[test]
fn what_linux_takes_for_granted_is_there_and_what_it_can_do_without_is_not() {
    with_guest(|guest, domain, host| {
        let cpu = Cpu { guest, domain, host, index: 0 };
        let refused = Errno::NoSystem.result().cast_signed();
        // A reservation of eight frames, given back to make room for grants (5.10).
        assert_eq!(cpu.ask(Hypercall::MemoryOp, 1, &[SCRATCH + 64, 8, 0, 0x7ff0]), 8);
        assert_eq!(cpu.call(Hypercall::VcpuOp, [5, 0, SCRATCH]).result, 0, "a run state");
        assert_eq!(cpu.call(Hypercall::VmAssist, [0, 5, 0]).result.cast_signed(), refused);
        assert_eq!(cpu.ask(Hypercall::EventChannelOp, 11, &[4u64, 0, 0]), refused, "no queues");
        // Nothing of these is the domain's here: vCPUs and time are the board's.
        for (command, argument) in [(0, SCRATCH), (1, 0), (2, 0), (6, SCRATCH), (8, SCRATCH)] {
            assert_eq!(cpu.call(Hypercall::VcpuOp, [command, 0, argument]).result.cast_signed(), refused);
        }
        assert_eq!(cpu.call(Hypercall::SchedOp, [1, 0, 0]), Errno::NoSystem.into());
        assert_eq!(cpu.call(Hypercall::SetTimerOp, [5, 0, 0]).result.cast_signed(), refused);
        assert_eq!(cpu.call(Hypercall::MmuUpdate, [SCRATCH, 1, 0]).next, Next::Resume);
        assert_eq!(cpu.call(Hypercall::SchedOp, [0, 0, 0]).next, Next::Yield);
        guest.put(SCRATCH, &1u32).unwrap();
        assert_eq!(
            cpu.call(Hypercall::SchedOp, [2, SCRATCH, 0]).next,
            Next::Shutdown(crate::abi::sched::Shutdown::Reboot)
        );
    });
}

/// A number that hits the edges of things.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..20,
        2 => (0u64..0x200).prop_map(|word| SCRATCH + 8 * word),
        1 => (0u64..4, 0u64..20).prop_map(|(high, low)| 0x7ff0 | high << 32 | low << 48),
        1 => any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn whatever_it_asks_has_an_answer(
        steps in prop::collection::vec((0u32..3, 0u64..42, [number(), number(), number()], [number(), number(), number()]), 1..100),
    ) {
        with_guest(|guest, domain, host| {
            for (index, number, arguments, words) in steps {
                guest.put(SCRATCH, &words).unwrap();
                let cpu = Cpu { guest, domain, host, index };
                let call = Hypercall::from_number(number).unwrap_or(Hypercall::HvmOp);
                let [command, argument, third] = arguments;
                let _ = cpu.call(call, [command, argument, third]);
                let Answer { next, .. } = cpu.call(call, [command, SCRATCH, SCRATCH]);
                assert!(matches!(next, Next::Resume | Next::Yield | Next::Shutdown(_)), "{next:?}: the board does the rest");
                domain.look_outside(index, host);
            }
        });
    }
}
