// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Blocking, polling, timers, and taking turns.

use super::guest::{Cpu, FakeHost, House, SCRATCH};
use crate::abi::Hypercall::{SchedOp, SetTimerOp, VcpuOp};
use crate::abi::shared::at;
use crate::abi::{Errno, shared};
use crate::domain::{News, Next, Turn};
use crate::memory::{Arguments, Page};

#[test]
fn who_blocks_is_unmasked_and_goes_on_at_once_if_something_is_pending() {
    let house = House::new(&[0]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let port = cpu.bind_ipi(0);
    cpu.send(port);
    assert!(!domain.upcall(0), "masked");
    let answer = cpu.call(SchedOp, &[1]);
    assert_eq!(domain.pause(0, answer.next, &house.guest, &host), Turn::Upcall);
    assert_eq!(host.state.lock().unwrap().waits, 0);
    assert_eq!(house.shared.load8(at::UPCALL_MASK), 0);
}

#[test]
fn a_poll_ends_by_its_port_though_that_is_masked() {
    let house = House::new(&[0, 1]);
    let domain = house.domain();
    let outside = FakeHost::new();
    let other = Cpu { house: &house, domain: &domain, index: 1, host: &outside };
    let port = other.bind_ipi(0);
    house.shared.set64(at::MASK, 1 << port);
    let host = FakeHost::when_idle(|_| {
        other.send(port);
        assert_eq!(outside.state.lock().unwrap().kicked, [0]);
        News { kick: true, ..News::default() }
    });
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let poll = |timeout: u64| {
        house.guest.put(SCRATCH + 0x1000, &port).unwrap();
        house.guest.put(SCRATCH, &[SCRATCH + 0x1000, 1, timeout]).unwrap();
        cpu.call(SchedOp, &[3, SCRATCH])
    };
    let answer = poll(0);
    assert_eq!((answer.result, answer.next), (0, Next::Poll(None)));
    assert_eq!(domain.pause(0, answer.next, &house.guest, &host), Turn::Run);
    assert_eq!(host.state.lock().unwrap().waits, 1);
    assert_eq!(poll(0).next, Next::Resume, "it is pending still");
    house.shared.clear64(at::PENDING, u64::MAX);

    // Told before it comes to wait: the shim took the event meanwhile.
    let answer = poll(0);
    other.send(port);
    domain.events(0, News { kick: true, ..News::default() });
    assert_eq!(domain.pause(0, answer.next, &house.guest, &host), Turn::Run);
    assert_eq!(host.state.lock().unwrap().waits, 1);
    house.shared.clear64(at::PENDING, u64::MAX);

    // Nobody comes.
    let answer = poll(9_000);
    assert_eq!(answer.next, Next::Poll(Some(9_000)));
    assert_eq!(domain.pause(0, answer.next, &house.guest, &host), Turn::Run);
    assert_eq!(host.state.lock().unwrap().now, 10_000);
    assert_eq!(host.state.lock().unwrap().timer, None, "and nothing is left behind");
    outside.state.lock().unwrap().kicked.clear();
    other.send(port);
    assert!(outside.state.lock().unwrap().kicked.is_empty(), "it does not poll any more");
}

#[test]
fn timers_of_all_kinds_fire() {
    let house = House::new(&[0, 1]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let port = cpu.bind_timer(0);
    cpu.mask(false);
    let fires = |at: u64| {
        assert_eq!(host.state.lock().unwrap().timer, Some(at));
        host.state.lock().unwrap().now = at - 1;
        assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Run, "not yet");
        host.state.lock().unwrap().now = at;
        host.state.lock().unwrap().timer = None;
        domain.events(0, News { timer: true, ..News::default() });
        assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Upcall);
        assert_eq!(cpu.take_events(), 1 << port);
    };
    assert_eq!(cpu.call(SetTimerOp, &[50_000]).result, 0);
    fires(51_000);
    assert_eq!(cpu.ask_vcpu(8, 0, &[60_000u64, 0]), 0);
    fires(61_000);
    assert_eq!(cpu.ask_vcpu(8, 0, &[10u64, 1]), Errno::Time.result().cast_signed(), "the past, and it minds");
    assert_eq!(cpu.ask_vcpu(8, 1, &[10u64, 0]), Errno::Invalid.result().cast_signed(), "another's");
    assert_eq!(cpu.ask_vcpu(6, 0, &1_000_000u64), 0);
    fires(1_061_000);
    fires(2_061_000);
    assert_eq!(cpu.call(VcpuOp, &[7, 0, 0]).result, 0);
    assert_eq!(host.state.lock().unwrap().timer, None);
    // The timer came before its time: it is set again.
    assert_eq!(cpu.call(SetTimerOp, &[9_000_000]).result, 0);
    host.state.lock().unwrap().timer = None;
    domain.events(0, News { timer: true, ..News::default() });
    assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Run);
    assert_eq!(host.state.lock().unwrap().timer, Some(9_001_000));
    // Another's repeating one: that one has to look.
    assert_eq!(cpu.ask_vcpu(6, 1, &1_000_000u64), 0);
    assert_eq!(host.state.lock().unwrap().kicked, [1]);
}

#[test]
fn vcpus_of_a_core_take_turns_and_the_account_shows_it() {
    let house = House::new(&[3, 3]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let area = SCRATCH + 0x3000;
    assert_eq!(cpu.ask_vcpu(5, 0, &area), 0);
    cpu.bind_timer(0);
    assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Run);
    assert_eq!(host.state.lock().unwrap().timer, Some(101_000), "the end of the slice");
    assert_eq!(cpu.call(SetTimerOp, &[50_000]).result, 0);
    assert_eq!(host.state.lock().unwrap().timer, Some(51_000), "whichever is earlier");
    assert_eq!(cpu.call(SetTimerOp, &[500_000]).result, 0);
    host.pass(100_000);
    domain.events(0, News { timer: true, ..News::default() });
    assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Run);
    assert_eq!(host.state.lock().unwrap().yields, 1);
    assert_eq!(house.guest.get::<u64>(area + 16 + 8), Ok(10), "for as long it could have run");
    assert_eq!(house.guest.get::<u32>(area), Ok(0));
    assert_eq!(host.state.lock().unwrap().timer, Some(201_010));
    // Asleep it needs no slices.
    let answer = cpu.call(SchedOp, &[1]);
    assert_eq!(domain.pause(0, answer.next, &house.guest, &host), Turn::Upcall);
    assert_eq!(host.state.lock().unwrap().waits, 1);
    assert_eq!(host.state.lock().unwrap().now, 501_000);
    // Who tells a neighbour makes way for it, and so does who yields.
    let ipi = cpu.bind_ipi(1);
    house.shared.store8(size_of::<shared::VcpuInfo>() + at::UPCALL_MASK, 0);
    cpu.send(ipi);
    assert_eq!(host.state.lock().unwrap().yields, 2);
    let answer = cpu.call(SchedOp, &[0]);
    assert_eq!(answer.next, Next::Yield);
    let _ = domain.pause(0, answer.next, &house.guest, &host);
    assert_eq!(host.state.lock().unwrap().yields, 3);
    // What the guest asks for itself.
    assert_eq!(cpu.call(VcpuOp, &[4, 0, SCRATCH]).result, 0);
    assert_eq!(cpu.word(0), 0);
    assert_eq!(house.guest.get::<[u64; 4]>(SCRATCH + 16).unwrap().iter().sum::<u64>(), 501_020 - 1000);
}

#[test]
fn the_clock_for_programs_is_written_once_and_can_be_taken_back() {
    let house = House::new(&[0]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    assert_eq!(cpu.ask_vcpu(13, 0, &(SCRATCH + 0x3000)), 0);
    assert_eq!(house.guest.get::<u32>(SCRATCH + 0x3000), Ok(2));
    assert_eq!(house.guest.get::<u64>(SCRATCH + 0x3008), Ok(1000));
    assert_eq!(cpu.ask_vcpu(13, 0, &0u64), 0);
    assert_eq!(cpu.ask_vcpu(13, 0, &0x1000u64), Errno::Fault.result().cast_signed());
}
