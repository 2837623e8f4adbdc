// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Calls as Linux makes them, wrong ones, and random ones.

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::abi::event::{BindVirq, EventCommand};
use crate::abi::mmu::{MmuUpdate, MulticallEntry};
use crate::events::tests_support::house;
use crate::memory::fake::{FakeArguments, FakeFrames};

fn call(number: Hypercall, arguments: [u64; 4]) -> Call {
    let [a, b, c, d] = arguments;
    Call { number: number.number().into(), arguments: [a, b, c, d, 0, 0] }
}

#[test]
fn what_does_not_exist_is_refused_by_number() {
    let memory = FakeArguments::default();
    let refusal = Call { number: 99, arguments: [5, 0, 0, 0, 0, 0] }.decode(&memory).unwrap_err();
    assert_eq!(refusal, Refusal { errno: Errno::NoSystem, unknown: Some((99, 5)) });
    for (number, operation) in [(Hypercall::EventChannelOp, 99), (Hypercall::VcpuOp, 14), (Hypercall::Domctl, 1)] {
        let refusal = call(number, [operation, 0, 0, 0]).decode(&memory).unwrap_err();
        assert_eq!((refusal.errno, refusal.unknown), (Errno::NoSystem, Some((number.number().into(), operation))));
    }
}

#[test]
fn a_virq_is_bound_through_memory() {
    let memory = FakeArguments::default();
    memory.place(0x1000, BindVirq { virq: 0, vcpu: 1, port: 0 }.as_bytes());
    let bind = call(Hypercall::EventChannelOp, [EventCommand::BindVirq.number().into(), 0x1000, 0, 0]);
    let Ok(Request::Event(request)) = bind.decode(&memory) else { panic!() };
    let frames = FakeFrames::default();
    house(2, 8, |events| {
        assert_eq!(events.serve(&request, true, &memory, &frames), Ok(crate::events::Effect::NOTHING));
        assert_eq!(memory.get::<BindVirq>(0x1000).unwrap().port, 1);
        assert_eq!(events.serve(&request, true, &memory, &frames), Err(Errno::Exists));
    });
    // The answer can't be written: the port is not lost.
    let other = FakeArguments::default();
    house(2, 2, |events| {
        assert_eq!(events.serve(&request, true, &other, &frames), Err(Errno::Fault));
        assert_eq!(events.bind_ipi(0), Ok(1));
    });
    assert_eq!(bind.decode(&other).unwrap_err().errno, Errno::Fault);
}

#[test]
fn other_domains_are_refused() {
    let memory = FakeArguments::default();
    memory.map(0x1000, 64);
    for (number, operation) in [(Hypercall::EventChannelOp, 6), (Hypercall::MemoryOp, 1)] {
        let refusal = call(number, [operation, 0x1000, 0, 0]).decode(&memory).unwrap_err();
        assert_eq!(refusal.errno, Errno::Perm);
    }
    assert_eq!(call(Hypercall::MmuUpdate, [0, 0, 0, 3]).decode(&memory).unwrap_err().errno, Errno::Perm);
}

#[test]
fn a_batch_goes_on_where_it_was_left() {
    let memory = FakeArguments::default();
    for index in 0..10u64 {
        memory.place(0x1000 + 16 * index, MmuUpdate { ptr: index * 8, val: index }.as_bytes());
    }
    memory.map(0x2000, 4);
    let mut next = call(Hypercall::MmuUpdate, [0x1000, 10, 0x2000, DOMID_SELF.into()]);
    let mut seen = Vec::new();
    loop {
        let Ok(Request::MmuUpdate(batch)) = next.decode(&memory) else { panic!() };
        let now = batch.len().min(3);
        seen.extend((0..now).map(|index| batch.entry(&memory, index).unwrap().val));
        if now == batch.len() {
            batch.report(&memory, now).unwrap();
            break;
        }
        next = batch.rest(&memory, now, &next).unwrap();
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    assert_eq!(memory.get::<u32>(0x2000), Ok(10), "all of them, in four calls");
}

#[test]
fn a_multicall_goes_on_in_the_middle_of_an_entry() {
    let memory = FakeArguments::default();
    let entries = [3u64, 13, 1, 23].map(|op| MulticallEntry { op, result: 0, args: [1, 2, 0, 0x7ff0, 0, 0] });
    memory.place(0x1000, entries.as_bytes());
    let Ok(Request::Multicall(batch)) = call(Hypercall::Multicall, [0x1000, 4, 0, 0]).decode(&memory) else { panic!() };
    let first = batch.call(&memory, 0).unwrap();
    assert_eq!(first.decode_entry(&memory), Ok(Request::StackSwitch { ss: 1, rsp: 2 }));
    batch.answer(&memory, 0, Errno::Invalid.result()).unwrap();
    assert_eq!(memory.get::<MulticallEntry>(0x1000).unwrap().result as i64, -22);
    for nested in [1, 3] {
        let refusal = batch.call(&memory, nested).unwrap().decode_entry(&memory).unwrap_err();
        assert_eq!(refusal.errno, Errno::NoSystem);
    }
    let begun = Call { arguments: [9, 8, 7, 6, 5, 4], ..batch.call(&memory, 2).unwrap() };
    let rest = batch.rest(&memory, 2, Some(&begun)).unwrap();
    let Ok(Request::Multicall(batch)) = rest.decode(&memory) else { panic!() };
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.call(&memory, 0), Ok(begun));
    assert_eq!(batch.call(&memory, 2), Err(Errno::Invalid));
}

#[test]
fn flushes_are_what_their_flags_say() {
    assert_eq!(Flush::from_flags(0), Some(Flush::Nothing));
    assert_eq!(Flush::from_flags(1), Some(Flush::All(Where::Here)));
    assert_eq!(Flush::from_flags(2 | 4), Some(Flush::Page(Where::Everywhere)));
    assert_eq!(Flush::from_flags(2 | 0x5000), Some(Flush::Page(Where::Mask(0x5000))));
    assert_eq!(Flush::from_flags(3), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever is in registers and memory: an answer.
    #[test]
    fn any_call_ends_in_a_request_or_a_refusal(
        number in prop_oneof![4 => 0u64..64, 1 => any::<u64>()],
        operation in prop_oneof![4 => 0u64..40, 1 => any::<u64>()],
        rest in any::<[u64; 5]>(),
        mapped in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 80),
    ) {
        let memory = FakeArguments::default();
        let [b, c, d, e, f] = rest;
        if mapped {
            memory.place(b, &bytes);
            memory.place(c, &bytes);
        }
        let call = Call { number, arguments: [operation, b, c, d, e, f] };
        if let Err(refusal) = call.decode(&memory) {
            prop_assert_eq!(refusal.unknown.is_some(), refusal.errno == Errno::NoSystem);
        }
    }
}
