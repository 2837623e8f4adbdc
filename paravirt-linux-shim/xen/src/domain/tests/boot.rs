// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The hypercalls of a boot of Linux 6.1, in its order, and what it does with the answers.

use zerocopy::IntoBytes;

use super::guest::{Cpu, FRAMES, FakeHost, House, SCRATCH};
use crate::abi::console;
use crate::abi::sched::Shutdown;
use crate::abi::shared::{TSC_STABLE, at};
use crate::abi::trap::{GuestContext, context};
use crate::abi::{Errno, Hypercall, PAGE};
use crate::domain::{News, Next, Turn};
use crate::memory::{Arguments, Page};

/// A refusal, as Linux sees it.
fn refused(errno: Errno) -> i64 {
    errno.result().cast_signed()
}

/// A context as Linux makes it for its second vCPU.
fn second() -> GuestContext {
    let mut begins = GuestContext { flags: context::IN_KERNEL, gdt_ents: 16, ..GuestContext::default() };
    begins.user_regs.rip = 0xffff_ffff_8100_2000;
    begins.event_callback = 0xffff_ffff_8100_3000;
    begins.ctrlreg[3] = 9 * PAGE;
    begins
}

#[test]
fn linux_boots_two_vcpus_and_powers_off() {
    use Hypercall::{
        ConsoleIo, EventChannelOp, GrantTableOp, MemoryOp, PhysdevOp, SchedOp, VcpuOp, VmAssist, XenVersion, XenpmuOp,
    };
    let house = House::new(&[0, 1]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let memory = &house.guest;

    // What it finds: events masked, clocks.
    assert_eq!(domain.before_guest(0, memory, &host), Turn::Run);
    assert_eq!(house.shared.load8(at::UPCALL_MASK), 1);
    assert_eq!(house.shared.load32(at::TIME), 2, "a clock that can be read");
    assert_eq!(house.shared.load32(at::WALL_CLOCK + 4), 1_700_000_000);
    let console = domain.console_port().unwrap();

    // startup_xen … xen_start_kernel
    assert_eq!(cpu.ask(XenVersion, 6, &[0u32; 2]), 0);
    assert_eq!(cpu.word(1) & (1 << 5 | 1 << 7), 1 << 5 | 1 << 7);
    for assist in [0, 2, 3, 5] {
        assert_eq!(cpu.call(VmAssist, &[0, assist]).result, 0);
    }
    memory.write(SCRATCH, b"early").unwrap();
    assert_eq!(cpu.call(ConsoleIo, &[0, 5, SCRATCH]).result, 0);
    assert_eq!(host.printed(), "early");
    assert_eq!(cpu.ask(MemoryOp, 9, &[1u32, 0, SCRATCH as u32 + 64, (SCRATCH >> 32) as u32]), 0);
    assert_eq!(cpu.word(0), 1, "one range of memory");
    assert_eq!(cpu.ask(MemoryOp, 12, &[0u64; 3]), 0);
    assert_eq!(cpu.ask(PhysdevOp, 6, &1u32), 0);
    assert_eq!(cpu.call(XenVersion, &[0]).result >> 16, 4);

    // vcpu_info of its own, which has to have the clock, too; the account of time.
    assert_eq!(cpu.ask_vcpu(10, 0, &[3u64, 128]), 0);
    let info = &house.guest.frames.0[3];
    assert!(info.load32(128 + at::TIME) >= 2 && info.load32(128 + at::TIME).is_multiple_of(2));
    assert_eq!(info.load64(128 + at::TIME + 8), 1000);
    assert_eq!(info.load8(128 + at::TIME + 29), TSC_STABLE);
    assert_eq!(info.load8(128 + at::UPCALL_PENDING), 1, "nothing is lost on the way");
    assert_eq!(cpu.ask_vcpu(10, 0, &[3u64, 128]), refused(Errno::Invalid), "once only");
    cpu.take_events();
    let runstate = SCRATCH + 0x3000;
    assert_eq!(cpu.ask_vcpu(5, 0, &runstate), 0);
    assert_eq!(memory.get::<u32>(runstate), Ok(0), "running");

    // How many vCPUs?
    let present: Vec<_> = (0..8192).map(|n| cpu.call(VcpuOp, &[3, n, 0]).result.cast_signed()).collect();
    assert_eq!(present[..3], [1, 0, refused(Errno::NoEntry)]);
    assert!(present[2..].iter().all(|result| *result < 0));

    // Events: no queues; the timer; IPIs; the console.
    assert_eq!(cpu.ask(EventChannelOp, 11, &[4u64, 0, 0]), refused(Errno::NoSystem));
    let timer = cpu.bind_timer(0);
    let ipis: Vec<_> = (0..5).map(|_| cpu.bind_ipi(0)).collect();
    assert!(ipis.iter().all(|port| *port != timer && *port != console));
    assert_eq!(cpu.ask(EventChannelOp, 9, &console), 0);
    b"Linux version 6.1\n".iter().enumerate().for_each(|(i, byte)| house.console.store8(console::at::OUT + i, *byte));
    house.console.store32(console::at::OUT_PROD, 18);
    cpu.send(console);
    assert!(host.printed().ends_with("Linux version 6.1\n"));
    assert_eq!(house.console.load32(console::at::OUT_CONS), 18);

    // What it does without.
    assert_eq!(cpu.ask(GrantTableOp, 6, &[0u64; 2]), refused(Errno::NoSystem));
    assert_eq!(cpu.ask(PhysdevOp, 28, &5u64), refused(Errno::NoSystem));
    for _ in 0..3 {
        assert_eq!(cpu.ask(XenpmuOp, 0, &0u64), refused(Errno::NoSystem));
    }
    assert_eq!(host.state.lock().unwrap().unknown, [(40, 0)], "noted once");
    assert_eq!(cpu.ask(MemoryOp, 6, &[0u64, 1, 0, 0x7ff0]), 0, "none populated");

    // The tick: sleeps until it fires.
    assert_eq!(cpu.call(VcpuOp, &[7, 0, 0]).result, 0);
    assert_eq!(cpu.ask_vcpu(8, 0, &[5_000_000u64, 0]), 0);
    assert_eq!(host.state.lock().unwrap().timer, Some(5_001_000), "by the host's clock");
    let answer = cpu.call(SchedOp, &[1]);
    assert_eq!((answer.result, answer.next), (0, Next::Block));
    assert_eq!(domain.pause(0, answer.next, memory, &host), Turn::Upcall);
    assert_eq!(cpu.take_events(), 1 << timer);
    assert_eq!(host.state.lock().unwrap().now, 5_001_000);
    assert_eq!(memory.get::<u64>(runstate + 16 + 2 * 8), Ok(5_000_000), "blocked for as long");
    // One that has passed fires at once, and "version" gives it the chance.
    assert_eq!(cpu.ask_vcpu(8, 0, &[4_000_000u64, 0]), 0);
    assert_eq!(cpu.call(XenVersion, &[0]).next, Next::Resume);
    assert!(domain.upcall(0));
    assert_eq!(cpu.take_events(), 1 << timer);

    // The second vCPU.
    assert_eq!(cpu.ask_vcpu(10, 1, &[3u64, 192]), 0);
    cpu.bind_timer(1);
    let wake = cpu.bind_ipi(1);
    memory.write(SCRATCH + 0x1000, second().as_bytes()).unwrap();
    assert_eq!(cpu.call(VcpuOp, &[1, 1, 0]).result.cast_signed(), refused(Errno::Invalid), "not initialised");
    assert_eq!(cpu.call(VcpuOp, &[0, 1, SCRATCH + 0x1000]).result, 0);
    assert_eq!(cpu.call(VcpuOp, &[0, 1, SCRATCH + 0x1000]).result.cast_signed(), refused(Errno::Exists));
    assert_eq!(cpu.call(VcpuOp, &[1, 1, 0]).result, 0);
    assert_eq!(host.state.lock().unwrap().started, [1]);
    assert_eq!(cpu.call(VcpuOp, &[3, 1, 0]).result, 1);
    let other = Cpu { house: &house, domain: &domain, index: 1, host: &FakeHost::new() };
    assert_eq!(domain.begin(1, other.host, |begins| begins.user_regs.rip), Some(0xffff_ffff_8100_2000));
    assert_eq!(domain.before_guest(1, memory, other.host), Turn::Run, "its events are masked");
    other.mask(false);
    other.take_events();
    host.state.lock().unwrap().kicked.clear();
    cpu.send(wake);
    assert_eq!(host.state.lock().unwrap().kicked, [1]);
    assert!(domain.upcall(1) && !domain.upcall(0));
    assert_eq!(other.take_events(), 1 << wake);

    // It goes down, and up again behind its call.
    let back = FakeHost::when_idle(|host| {
        assert_eq!(cpu.call(VcpuOp, &[3, 1, 0]).result, 0);
        assert_eq!(cpu.call(VcpuOp, &[1, 1, 0]).result, 0);
        host.pass(77);
        News { kick: true, ..News::default() }
    });
    let other = Cpu { host: &back, house: &house, domain: &domain, index: 1 };
    let answer = other.call(VcpuOp, &[2, 1, 0]);
    assert_eq!(answer.next, Next::Down);
    assert_eq!(domain.pause(1, answer.next, memory, &back), Turn::Run);
    assert_eq!(host.state.lock().unwrap().started, [1], "started once");

    let answer = cpu.call(SchedOp, &[2, SCRATCH + 0x2000]);
    assert_eq!(answer.next, Next::Shutdown(Shutdown::PowerOff));
    assert_eq!(domain.pause(0, answer.next, memory, &host), Turn::Over);
    assert_eq!(domain.before_guest(1, memory, &back), Turn::Over);
}

#[test]
fn contexts_that_cannot_begin_are_refused() {
    let house = House::new(&[0, 1]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    let spoil: [fn(&mut GuestContext); 6] = [
        |c| c.user_regs.rip = 1 << 47,
        |c| c.flags = 0,
        |c| c.gdt_ents = 7169,
        |c| c.ctrlreg[3] = FRAMES * PAGE,
        |c| c.ctrlreg[3] += 1,
        |c| c.syscall_callback = 1 << 63,
    ];
    for spoil in spoil {
        let mut begins = second();
        spoil(&mut begins);
        house.guest.write(SCRATCH + 0x1000, begins.as_bytes()).unwrap();
        let result = cpu.call(Hypercall::VcpuOp, &[0, 1, SCRATCH + 0x1000]).result;
        assert_eq!(result.cast_signed(), refused(Errno::Invalid));
    }
    assert_eq!(cpu.call(Hypercall::VcpuOp, &[0, 1, 0x1000]).result.cast_signed(), refused(Errno::Fault));
    assert_eq!(cpu.call(Hypercall::VcpuOp, &[1, 1, 0]).result.cast_signed(), refused(Errno::Invalid));
}

#[test]
fn the_last_one_that_goes_down_ends_the_guest() {
    let house = House::new(&[0]);
    let domain = house.domain();
    let host = FakeHost::new();
    let cpu = Cpu { house: &house, domain: &domain, index: 0, host: &host };
    assert_eq!(cpu.call(Hypercall::VcpuOp, &[2, 0, 0]).next, Next::Shutdown(Shutdown::Crash));
    assert!(domain.is_over());
}
