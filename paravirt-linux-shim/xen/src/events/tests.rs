// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Event channels against a simple model, and one by one.

mod guest;
mod model;
mod threads;

use super::*;
use crate::abi::event::{PortStatus, virq};
use crate::abi::shared::at;
use crate::memory::fake::FakePage;
pub(super) use guest::House;

const DOM0: u16 = 0;

#[test]
fn a_send_to_the_shim_is_told_to_its_end() {
    let house = House::new(1, 64);
    let events = house.events();
    let port = events.alloc_unbound(DOM0).unwrap();
    assert_eq!(events.send(port), Ok(Sent::Guest(VcpuSet::NONE)), "nobody is there yet");
    assert_eq!(events.connect(port, 7, 3), Err(Errno::Invalid), "not the one it was made for");
    events.connect(port, DOM0, 3).unwrap();
    assert_eq!(events.send(port), Ok(Sent::Backend(3)));
    assert_eq!(events.close(port), Ok(Closed { backend: Some(3) }));
    assert_eq!(events.send(port), Err(Errno::Invalid));
}

#[test]
fn the_guest_is_kicked_once_and_only_if_unmasked() {
    let house = House::new(2, 64);
    let events = house.events();
    let port = events.bind_ipi(1).unwrap();
    assert_eq!(events.send(port), Ok(Sent::Guest(VcpuSet::NONE.with_vcpu(1))));
    assert_eq!(events.send(port), Ok(Sent::Guest(VcpuSet::NONE)), "pending already");
    assert!(events.is_deliverable(1) && !events.is_deliverable(0));
    house.shared.store8(64 + at::UPCALL_MASK, 1);
    assert!(!events.is_deliverable(1), "its interrupt flag is off");
}

#[test]
fn unmasking_tells_what_came_meanwhile() {
    let house = House::new(1, 128);
    let events = house.events();
    let port = (0..70).map(|_| events.bind_ipi(0).unwrap()).last().unwrap();
    house.shared.set64(at::MASK + 8, 1 << (port - 64));
    assert_eq!(events.raise(port), VcpuSet::NONE);
    assert_eq!(events.unmask(port), Ok(VcpuSet::NONE.with_vcpu(0)));
    assert_eq!(house.shared.load64(at::PENDING_SEL), 2);
    assert_eq!(events.unmask(port), Ok(VcpuSet::NONE), "it was not masked");
}

#[test]
fn virtual_interrupts_have_one_port_each() {
    let house = House::new(2, 64);
    let events = house.events();
    let port = events.bind_virq(virq::TIMER, 1).unwrap();
    assert_eq!(events.bind_virq(virq::TIMER, 1), Err(Errno::Exists));
    assert_eq!(events.bind_virq(2, 1), Err(Errno::Invalid), "the console's is vCPU 0's");
    assert_eq!(events.bind_virq(24, 0), Err(Errno::Invalid));
    assert_eq!(events.bind_virq(virq::TIMER, 2), Err(Errno::NoEntry));
    assert_eq!(events.bind_vcpu(port, 0), Err(Errno::Invalid), "it stays where it is");
    assert_eq!(events.raise_virq(0, virq::TIMER), VcpuSet::NONE, "not bound");
    assert_eq!(events.raise_virq(1, virq::TIMER), VcpuSet::NONE.with_vcpu(1));
    let status = events.status(port).unwrap();
    assert_eq!((status.status, status.vcpu, status.detail), (PortStatus::Virq.number(), 1, 0));
    events.close(port).unwrap();
    assert_eq!(events.raise_virq(1, virq::TIMER), VcpuSet::NONE);
    assert_eq!(events.bind_virq(virq::TIMER, 1), Ok(port), "both are free again");
}

#[test]
fn ports_run_out_and_wrong_ones_are_refused() {
    let house = House::new(1, 4);
    let events = house.events();
    let ports: Vec<_> = (0..4).map(|_| events.bind_ipi(0)).collect();
    assert_eq!(ports, [Ok(1), Ok(2), Ok(3), Err(Errno::NoSpace)]);
    for port in [0, 4, 4096, u32::MAX] {
        assert_eq!(events.send(port), Err(Errno::Invalid));
        assert_eq!(events.unmask(port), Err(Errno::Invalid));
        assert_eq!(events.close(port), Err(Errno::Invalid));
        assert_eq!(events.raise(port), VcpuSet::NONE);
    }
}

#[test]
fn a_moved_vcpu_info_keeps_its_state_and_loses_nothing() {
    let house = House::new(1, 64);
    let events = house.events();
    house.shared.store8(at::UPCALL_MASK, 1);
    house.shared.store64(at::CR2, 0x1234);
    let page = FakePage::default();
    assert_eq!(events.register_vcpu_info(0, page.clone(), 4040), Err(Errno::Invalid), "crosses the page");
    assert_eq!(events.register_vcpu_info(0, page.clone(), 4), Err(Errno::Invalid), "not aligned");
    events.register_vcpu_info(0, page.clone(), 128).unwrap();
    assert_eq!(events.register_vcpu_info(0, page.clone(), 0), Err(Errno::Invalid), "once is enough");
    assert_eq!(page.load64(128 + at::CR2), 0x1234);
    assert_eq!((page.load8(128 + at::UPCALL_MASK), page.load8(128 + at::UPCALL_PENDING)), (1, 1));
    assert_eq!(page.load64(128 + at::PENDING_SEL), u64::MAX);
}

#[test]
fn a_poll_hears_masked_ports() {
    let house = House::new(2, 128);
    let events = house.events();
    let (one, other) = (events.bind_ipi(1).unwrap(), events.bind_ipi(1).unwrap());
    house.shared.store64(at::MASK, u64::MAX);
    assert_eq!(events.begin_poll(1, &[one]), Ok(false));
    assert_eq!(events.raise(other), VcpuSet::NONE);
    assert_eq!(events.raise(one), VcpuSet::NONE.with_vcpu(1));
    events.end_poll(1);
    assert_eq!(events.begin_poll(1, &[one]), Ok(true), "it is pending");
    assert_eq!(events.begin_poll(1, &[9999]), Err(Errno::Invalid));
    assert_eq!(events.begin_poll(9, &[one]), Err(Errno::NoEntry));
    house.shared.store64(at::PENDING, 0);
    assert_eq!(events.begin_poll(1, &[one, other]), Ok(false));
    assert_eq!(events.raise(other), VcpuSet::NONE.with_vcpu(1));
}

#[test]
fn going_over_to_queues_takes_what_is_pending_along() {
    let house = House::new(1, 2048);
    let events = house.events();
    let port = events.bind_ipi(0).unwrap();
    events.raise(port);
    assert_eq!(events.expand_array(FakePage::default()), Err(Errno::NoSystem), "no queues yet");
    assert_eq!(events.set_priority(port, 3), Err(Errno::NoSystem));
    let (control, words) = (FakePage::default(), FakePage::default());
    assert_eq!(events.init_control(0, control.clone(), 4096 - 64), Err(Errno::Invalid));
    assert_eq!(events.init_control(1, control.clone(), 0), Err(Errno::NoEntry));
    events.init_control(0, control.clone(), 64).unwrap();
    assert_eq!(events.init_control(0, control.clone(), 0), Err(Errno::Invalid));
    assert_eq!(events.is_pending(port), Ok(true));
    events.expand_array(words.clone()).unwrap();
    assert_eq!(control.load32(64), 1 << 7, "the default queue");
    assert_eq!(control.load32(64 + 8 + 4 * 7), port);
    assert_eq!(events.set_priority(port, 16), Err(Errno::Invalid));
    assert!(events.expand_array(FakePage::default()).is_ok());
    assert_eq!(events.expand_array(FakePage::default()), Err(Errno::NoSpace), "2048 ports are two pages");
}
