// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console's rings.

use super::guest::{Cpu, FakeHost, House};
use crate::abi::console::{IN, OUT, at};
use crate::abi::shared;
use crate::domain::{News, Turn};
use crate::memory::Page;

#[test]
fn output_goes_round_and_hostile_counts_lose_it() {
    let house = House::new(&[0]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let port = domain.console_port().unwrap();
    let mut expected = String::new();
    let mut prod = 0u32;
    for round in 0..100 {
        let text = format!("{round:0>67}\n");
        for byte in text.bytes() {
            house.console.store8(at::OUT + prod as usize % OUT, byte);
            prod += 1;
        }
        house.console.store32(at::OUT_PROD, prod);
        expected += &text;
        cpu.send(port);
    }
    assert_eq!(host.printed(), expected);
    assert_eq!(house.console.load32(at::OUT_CONS), prod);
    for wrong in [prod + OUT as u32 + 1, prod - 1, prod ^ 1 << 31] {
        house.console.store32(at::OUT_PROD, wrong);
        cpu.send(port);
        assert_eq!(house.console.load32(at::OUT_CONS), wrong, "goes on from there");
    }
    assert_eq!(host.printed().len(), expected.len());
    house.console.store32(at::OUT_PROD, (prod ^ 1 << 31) + OUT as u32);
    cpu.send(port);
    assert_eq!(host.printed().len(), expected.len() + OUT);
    assert_eq!(cpu.take_events(), 1 << port, "who filled the ring is told that there is room");
}

#[test]
fn input_waits_for_room() {
    let house = House::new(&[0]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let port = domain.console_port().unwrap();
    cpu.mask(false);
    assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Run);
    let text: Vec<u8> = (0..IN + 100).map(|n| n as u8).collect();
    host.state.lock().unwrap().typed.extend(&text);
    assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Run, "nobody has said so");
    domain.events(0, News { input: true, ..News::default() });
    assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Upcall);
    assert_eq!(cpu.take_events(), 1 << port);
    assert_eq!(house.console.load32(at::IN_PROD), IN as u32);
    assert_eq!(domain.before_guest(0, &house.guest, &host), Turn::Run, "full");
    let read: Vec<u8> = (0..IN).map(|n| house.console.load8(at::IN + n)).collect();
    assert_eq!(read, text[..IN]);
    // It says that it has read.
    house.console.store32(at::IN_CONS, IN as u32);
    cpu.send(port);
    assert!(domain.upcall(0));
    assert_eq!(house.console.load32(at::IN_PROD), IN as u32 + 100);
    assert_eq!(house.console.load8(at::IN), IN as u8);
    // It claims to have read more than there was: nothing comes any more.
    house.console.store32(at::IN_CONS, IN as u32 + 101);
    host.state.lock().unwrap().typed.extend(b"x");
    domain.events(0, News { input: true, ..News::default() });
    cpu.send(port);
    assert_eq!(house.console.load32(at::IN_PROD), IN as u32 + 100);
}

#[test]
fn a_console_that_was_left_stays_so() {
    let house = House::new(&[0]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let port = domain.console_port().unwrap();
    assert_eq!(cpu.ask(crate::abi::Hypercall::EventChannelOp, 3, &port), 0);
    assert_eq!(domain.console_port(), None);
    assert_eq!(cpu.bind_ipi(0), port, "the number is used again");
    host.state.lock().unwrap().typed.extend(b"x");
    domain.events(0, News { input: true, ..News::default() });
    let _ = domain.before_guest(0, &house.guest, &host);
    assert_eq!(house.shared.load64(shared::at::PENDING), 0);
}
