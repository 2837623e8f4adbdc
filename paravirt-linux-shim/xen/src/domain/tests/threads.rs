// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Several vCPUs at once, each a thread: nobody who is told something sleeps on.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::guest::{Cpu, House};
use crate::abi::Errno;
use crate::abi::Hypercall::{SchedOp, VcpuOp};
use crate::domain::{Domain, Host, News, Next, Now, Turn};
use crate::memory::fake::FakePage;
use crate::memory::{Arguments, Page};

/// What a vCPU has of the host: kicks that it did not take yet.
#[derive(Default)]
struct Desk {
    kicked: Mutex<bool>,
    bell: Condvar,
}

/// The host of a vCPU.
struct Thread<'a> {
    desks: &'a [Desk],
    index: usize,
    start: Instant,
}

impl Host for Thread<'_> {
    fn now(&self) -> Now {
        let nanoseconds = 1000 + self.start.elapsed().as_nanos() as u64;
        Now { nanoseconds, counter: nanoseconds }
    }
    fn kick(&self, vcpu: u32) {
        let desk = &self.desks[vcpu as usize];
        *desk.kicked.lock().unwrap() = true;
        desk.bell.notify_one();
    }
    fn start_vcpu(&self, vcpu: u32) -> Result<(), Errno> {
        self.kick(vcpu);
        Ok(())
    }
    fn set_timer(&self, _: Option<u64>) {}
    fn wait(&self) -> News {
        let desk = &self.desks[self.index];
        let patience = Duration::from_secs(20);
        let guard = desk.kicked.lock().unwrap();
        let (mut kicked, late) = desk.bell.wait_timeout_while(guard, patience, |kicked| !*kicked).unwrap();
        assert!(!late.timed_out(), "vCPU {} sleeps on", self.index);
        *kicked = false;
        News { kick: true, ..News::default() }
    }
    fn yield_now(&self) {
        std::thread::yield_now();
    }
    fn console_out(&self, _: &[u8]) {}
    fn console_flush(&self) {}
    fn console_in(&self, _: &mut [u8]) -> usize {
        0
    }
    fn unknown(&self, _: u64, _: u64) {}
}

/// Runs a vCPU on each of three threads.
fn run(house: &House, domain: &Domain<'_, FakePage>, vcpu: impl Fn(&Cpu<'_, Thread<'_>>) + Sync) {
    let desks: Vec<Desk> = (0..3).map(|_| Desk::default()).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for index in 0..3 {
            let (desks, vcpu) = (&desks, &vcpu);
            scope.spawn(move || {
                let host = Thread { desks, index, start };
                vcpu(&Cpu { house, domain, index: index as u32, host: &host });
            });
        }
    });
}

/// Brings all vCPUs up, from the first.
fn up(cpu: &Cpu<'_, Thread<'_>>) {
    use crate::abi::trap::{GuestContext, context};
    use zerocopy::IntoBytes;
    if cpu.index != 0 {
        let begun = cpu.domain.begin(cpu.index, cpu.host, |_| ());
        assert_eq!(begun, Some(()));
        return;
    }
    let mut begins = GuestContext { flags: context::IN_KERNEL, ..GuestContext::default() };
    begins.ctrlreg[3] = 0x1000;
    let at = super::guest::SCRATCH + 0x2000;
    cpu.house.guest.write(at, begins.as_bytes()).unwrap();
    for other in [1, 2] {
        assert_eq!(cpu.call(VcpuOp, &[0, other, at]).result, 0);
        assert_eq!(cpu.call(VcpuOp, &[1, other, 0]).result, 0);
    }
}

/// A ring of vCPUs: each waits for its event, then sends to the next.
fn ring(cores: &[u8], rounds: u32, wait: impl Fn(&Cpu<'_, Thread<'_>>, u32) + Sync) {
    let house = House::new(cores);
    let domain = house.domain();
    let ports: Vec<u32> = (0..3).map(|vcpu| domain.channels().bind_ipi(vcpu).unwrap()).collect();
    run(&house, &domain, |cpu| {
        up(cpu);
        let next = ports[(cpu.index as usize + 1) % 3];
        if cpu.index == 0 {
            cpu.send(next);
        }
        for _ in 0..rounds {
            wait(cpu, ports[cpu.index as usize]);
            cpu.send(next);
        }
    });
}

/// Waits for its port by `block`, as an idle loop does.
fn by_block(cpu: &Cpu<'_, Thread<'_>>, port: u32) {
    loop {
        let (page, info) = cpu.domain.channels().vcpu_info(cpu.index).unwrap();
        page.store8(info + crate::abi::shared::at::UPCALL_MASK, 1);
        page.store8(info + crate::abi::shared::at::UPCALL_PENDING, 0);
        page.clear64(info + crate::abi::shared::at::PENDING_SEL, u64::MAX);
        if cpu.house.shared.clear64(crate::abi::shared::at::PENDING, 1 << port) & 1 << port != 0 {
            return;
        }
        let answer = cpu.call(SchedOp, &[1]);
        assert_eq!(answer.next, Next::Block);
        assert_eq!(cpu.domain.pause(cpu.index, answer.next, &cpu.house.guest, cpu.host), Turn::Upcall);
    }
}

/// Waits for its port by `poll`, as a lock does, with events masked.
fn by_poll(cpu: &Cpu<'_, Thread<'_>>, port: u32) {
    let at = cpu.scratch() + 0x100;
    cpu.house.guest.put(at, &port).unwrap();
    while cpu.house.shared.clear64(crate::abi::shared::at::PENDING, 1 << port) & 1 << port == 0 {
        cpu.house.guest.put(at + 8, &[at, 1, 0]).unwrap();
        let answer = cpu.call(SchedOp, &[3, at + 8]);
        if answer.next != Next::Resume {
            let _ = cpu.domain.pause(cpu.index, answer.next, &cpu.house.guest, cpu.host);
        }
    }
}

#[test]
fn no_event_is_lost_between_vcpus_that_block() {
    ring(&[0, 1, 2], 2000, by_block);
    ring(&[0, 0, 1], 500, by_block);
}

#[test]
fn no_event_is_lost_between_vcpus_that_poll() {
    ring(&[0, 1, 2], 2000, by_poll);
}

#[test]
fn a_vcpu_that_goes_down_hears_that_it_is_brought_up() {
    let house = House::new(&[0, 1, 2]);
    let domain = house.domain();
    run(&house, &domain, |cpu| {
        up(cpu);
        let others = cpu.index as usize;
        for _ in 0..500 {
            if cpu.index == 0 {
                for other in [1u64, 2] {
                    while cpu.call(VcpuOp, &[3, other, 0]).result == 1 {
                        std::hint::spin_loop();
                    }
                    assert_eq!(cpu.call(VcpuOp, &[1, other, 0]).result, 0);
                }
            } else {
                let answer = cpu.call(VcpuOp, &[2, others as u64, 0]);
                assert_eq!(answer.next, Next::Down);
                let _ = cpu.domain.pause(cpu.index, answer.next, &cpu.house.guest, cpu.host);
            }
        }
    });
}
