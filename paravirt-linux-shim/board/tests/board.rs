// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The board as a guest kernel meets it: the order of accesses is that of Linux at boot.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a test's verdict")]

mod common;

use common::{GICD, GICR, Guest, UART};
use parzelle_shim_board::exit::instruction::decode;
use parzelle_shim_board::exit::{Exit, Fault, FaultKind, Mmio, SysReg, SysRegAccess};
use parzelle_shim_board::gic::{ListRegister, State};
use parzelle_shim_board::machine::{Next, Note};
use parzelle_shim_board::registers::Frame;

/// Brings the interrupt controller up as `drivers/irqchip/irq-gic-v3.c` does.
fn boot(guest: &mut Guest, vcpu: u64) {
    assert_eq!(guest.read(GICD + 0xffe8) & 0xf0, 0x30, "GICv3");
    assert_eq!(guest.read(GICD + 4) & 0x1f, 2, "96 interrupts");
    guest.write(GICD, 0);
    for word in 1..3 {
        guest.write(GICD + 0x80 + 4 * word, 0xffff_ffff);
        guest.write(GICD + 0x380 + 4 * word, 0xffff_ffff);
        guest.write(GICD + 0x180 + 4 * word, 0xffff_ffff);
    }
    for word in 8..24 {
        guest.write(GICD + 0x400 + 4 * word, 0xa0a0_a0a0);
    }
    guest.write(GICD, 0x13);
    assert_eq!(guest.read(GICD), 0x52, "enabled, affinity routing, one security state; no write pending");
    for intid in 32..96 {
        guest.access(GICD + 0x6000 + 8 * intid, 8, Some(0));
    }
    let gicr = GICR + vcpu * 0x2_0000;
    assert_eq!(guest.access(gicr + 8, 8, None) >> 32, vcpu, "affinity");
    assert_eq!(guest.read(gicr + 0x14), 6, "asleep");
    guest.write(gicr + 0x14, 0);
    assert_eq!(guest.read(gicr + 0x14), 0, "awake");
    guest.write(gicr + 0x1_0080, 0xffff_ffff);
    guest.write(gicr + 0x1_0100, 0xffff | 1 << 27);
    for word in 0..8 {
        guest.write(gicr + 0x1_0400 + 4 * word, 0xa0a0_a0a0);
    }
}

fn enable_uart(guest: &mut Guest) {
    guest.write(UART + 0x2c, 0x70);
    guest.write(UART + 0x30, 0x301);
    guest.write(UART + 0x38, 0x50);
    guest.write(GICD + 0x104, 1 << 1);
}

fn pending(intid: u32, eoi_maintenance: bool) -> ListRegister {
    ListRegister { intid, priority: 0xa0, state: State::Pending, hw: None, eoi_maintenance }
}

#[test]
fn boots_without_a_strange_access() {
    let mut guest = Guest::new(1);
    boot(&mut guest, 0);
    enable_uart(&mut guest);
    assert_eq!(guest.read(GICR + 8) & 1 << 4, 1 << 4, "the last redistributor");
    assert_eq!(guest.io.notes, []);
}

#[test]
fn the_timer_ends_a_wait() {
    let mut guest = Guest::new(1);
    boot(&mut guest, 0);
    guest.frame.timer_deadline = Some(1000);
    assert_eq!(guest.exit(Exit::Wfi), Next::WaitForInterrupt { until: Some(1000) });
    assert_eq!(guest.exit(Exit::VirtualTimer { linked: true }), Next::Resume);
    assert!(guest.vmm.is_awake(0));
    let mut lists = [ListRegister::default(); 4];
    assert_eq!(guest.vmm.enter(0, &mut lists), 1);
    assert_eq!(lists[0], ListRegister { hw: Some(27), ..pending(27, false) });
    lists[0].state = State::Invalid;
    guest.vmm.leave(0, &lists);
    assert_eq!(guest.exit(Exit::Wfi), Next::WaitForInterrupt { until: Some(1000) });
}

#[test]
fn a_timer_that_fires_while_its_interrupt_is_handled_comes_after_the_end() {
    let mut guest = Guest::new(1);
    boot(&mut guest, 0);
    guest.vmm.timer_fired(0, false);
    let mut lists = [ListRegister::default(); 4];
    assert_eq!(guest.vmm.enter(0, &mut lists), 1);
    assert_eq!(lists[0], pending(27, false));
    lists[0].state = State::Active;
    guest.vmm.leave(0, &lists);
    guest.vmm.timer_fired(0, false);
    guest.vmm.enter(0, &mut lists);
    assert_eq!(lists[0], ListRegister { state: State::Active, ..pending(27, true) }, "tell us when it ends");
    lists[0].state = State::Invalid;
    guest.vmm.leave(0, &lists);
    guest.vmm.enter(0, &mut lists);
    assert_eq!(lists[0], pending(27, false));
}

#[test]
fn a_linked_interrupt_ended_by_hand_is_given_back() {
    let mut guest = Guest::new(1);
    boot(&mut guest, 0);
    guest.vmm.timer_fired(0, true);
    let mut lists = [ListRegister::default(); 4];
    guest.vmm.enter(0, &mut lists);
    lists[0].state = State::Active;
    guest.vmm.leave(0, &lists);
    guest.write(GICR + 0x1_0380, 1 << 27);
    assert_eq!(guest.vmm.take_released(0), 1 << 27);
    assert_eq!(guest.vmm.take_released(0), 0);
    assert_eq!(guest.vmm.enter(0, &mut lists), 0);
}

#[test]
fn a_key_interrupts_until_it_is_read() {
    let mut guest = Guest::new(1);
    boot(&mut guest, 0);
    assert!(!guest.vmm.console_input(b'x'), "nobody listens yet");
    enable_uart(&mut guest);
    assert!(guest.vmm.console_input(b'x'));
    let mut lists = [ListRegister::default(); 4];
    for _ in 0..2 {
        assert_eq!(guest.vmm.enter(0, &mut lists), 1);
        assert_eq!(lists[0], pending(33, true), "the line is high: tell us when it ends");
        lists[0].state = State::Invalid;
        guest.vmm.leave(0, &lists);
    }
    guest.vmm.enter(0, &mut lists);
    lists[0].state = State::Active;
    guest.vmm.leave(0, &lists);
    assert_eq!(guest.read(UART), u64::from(b'x'));
    assert_eq!(guest.vmm.enter(0, &mut lists), 1);
    assert_eq!(lists[0], ListRegister { state: State::Active, ..pending(33, false) });
    lists[0].state = State::Invalid;
    guest.vmm.leave(0, &lists);
    assert_eq!(guest.vmm.enter(0, &mut lists), 0);
}

#[test]
fn what_the_guest_writes_comes_out() {
    let mut guest = Guest::new(1);
    for byte in b"Booting Linux" {
        assert_eq!(guest.read(UART + 0x18) & 1 << 5, 0, "room");
        guest.access(UART, 1, Some(u64::from(*byte)));
    }
    assert_eq!(guest.io.output, b"Booting Linux");
}

#[test]
fn a_shared_interrupt_goes_where_it_is_routed() {
    let mut guest = Guest::new(2);
    boot(&mut guest, 0);
    boot(&mut guest, 1);
    enable_uart(&mut guest);
    guest.access(GICD + 0x6000 + 8 * 33, 8, Some(1));
    assert!(guest.vmm.console_input(b'x'));
    let mut lists = [ListRegister::default(); 4];
    assert_eq!(guest.vmm.enter(0, &mut lists), 0);
    assert_eq!(guest.vmm.enter(1, &mut lists), 1);
    guest.access(GICD + 0x6000 + 8 * 33, 8, Some(0));
    let mut other = [ListRegister::default(); 4];
    assert_eq!(guest.vmm.enter(0, &mut other), 0, "vCPU 1 still has it");
    lists[0].state = State::Invalid;
    guest.vmm.leave(1, &lists);
    assert_eq!(guest.vmm.enter(0, &mut other), 1, "the line is still high");
}

#[test]
fn trapped_registers_and_calls_get_an_answer() {
    let mut guest = Guest::new(1);
    let read = |register| Exit::SysReg(SysRegAccess { register, rt: 5, write: false });
    guest.frame.pc = 0x1000;
    guest.exit(read(SysReg(3, 0, 0, 4, 0)));
    assert_eq!(guest.frame.x[5] >> 32 & 0xf, 0, "no SVE");
    assert_eq!(guest.frame.pc, 0x1004);
    for _ in 0..3 {
        guest.frame.x[5] = 9;
        guest.exit(read(SysReg(3, 0, 1, 0, 0)));
        assert_eq!(guest.frame.x[5], 0);
    }
    guest.frame.x[0] = 0x8600_1234;
    assert_eq!(guest.exit(Exit::Hvc { imm: 0 }), Next::Resume);
    assert_eq!(guest.frame.x[0], u64::MAX);
    assert_eq!(guest.io.notes, [Note::SystemRegister(SysReg(3, 0, 1, 0, 0)), Note::Call(0x8600_1234)]);
    assert_eq!(guest.vmm.strange_accesses(), 4);
}

#[test]
fn what_is_not_there_reads_as_zero_and_is_reported_once() {
    let mut guest = Guest::new(1);
    for _ in 0..100 {
        assert_eq!(guest.read(0x0a00_0000), 0);
        guest.write(0x0a00_0000, 1);
    }
    assert_eq!(guest.io.notes, [Note::Read(0x0a00_0000), Note::Write(0x0a00_0000)]);
    for n in 0..1000 {
        guest.read(0x0b00_0000 + 8 * n);
    }
    assert_eq!(guest.io.notes.len(), 32, "the table is full: the rest is only counted");
    assert_eq!(guest.vmm.strange_accesses(), 1200);
}

#[test]
fn pairs_and_writeback_reach_two_registers() {
    let mut guest = Guest::new(1);
    guest.frame.x[1] = 0xffff_8000_0900_0fe0;
    // ldp w2, w3, [x1], #8
    let transfer = decode(0x28c1_0c22).unwrap();
    guest.exit(Exit::Mmio(Mmio { ipa: UART + 0xfe0, transfer }));
    assert_eq!(guest.frame.x[1..4], [0xffff_8000_0900_0fe8, 0x11, 0x10]);
}

#[test]
fn a_crash_says_who_where_and_why() {
    let mut guest = Guest::new(1);
    guest.frame.pc = 0xffff_8000_0801_0000;
    let fault = Fault { kind: FaultKind::InstructionAbort, esr: 0x8200_0006, ipa: Some(0x1000) };
    let Next::Crash(report) = guest.exit(Exit::Fault(fault)) else { panic!() };
    assert_eq!(
        report.to_string(),
        "guest stopped: vCPU 0 at 0xffff800008010000 (called from 0x0): instruction fetch from where there is no memory, \
         guest physical address 0x1000 (ESR 0x82000006)"
    );
    assert_eq!(guest.frame, Frame { pc: 0xffff_8000_0801_0000, ..Frame::default() }, "left as it was");
}
