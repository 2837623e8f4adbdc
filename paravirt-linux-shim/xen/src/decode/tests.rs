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

/// Anything in registers and memory: number, operation, other arguments, and whether there is memory.
type Any = (u64, u64, [u64; 5], Option<Vec<u8>>);

fn any_call() -> impl Strategy<Value = Any> {
    let number = prop_oneof![4 => 0u64..64, 1 => any::<u64>()];
    let operation = prop_oneof![4 => 0u64..40, 1 => any::<u64>()];
    let bytes = prop::option::of(prop::collection::vec(any::<u8>(), 80));
    (number, operation, any::<[u64; 5]>(), bytes)
}

/// Whatever is in registers and memory: an answer.
fn decode_any((number, operation, rest, bytes): Any) {
    let memory = FakeArguments::default();
    let [b, c, d, e, f] = rest;
    if let Some(bytes) = bytes {
        memory.place(b, &bytes);
        memory.place(c, &bytes);
    }
    let call = Call { number, arguments: [operation, b, c, d, e, f] };
    for decoded in [call.decode(&memory), call.decode_entry(&memory)] {
        if let Err(refusal) = decoded {
            assert_eq!(refusal.unknown.is_some(), refusal.errno == Errno::NoSystem);
        }
    }
}

/// Plays a batch of `count` entries and a multicall of as many calls, left after `steps` entries each time.
fn leave_anywhere(count: u32, steps: &[u32], begun: bool) {
    let memory = FakeArguments::default();
    for index in 0..u64::from(count) {
        memory.place(0x1_0000 + 16 * index, MmuUpdate { ptr: index * 8, val: index }.as_bytes());
        let entry = MulticallEntry { op: 3, result: 99, args: [index, 0, 0, 0, 0, 0] };
        memory.place(0x8_0000 + 64 * index, entry.as_bytes());
    }
    memory.map(0x2000, 4);
    let mut next = call(Hypercall::MmuUpdate, [0x1_0000, count.into(), 0x2000, DOMID_SELF.into()]);
    let mut multi = call(Hypercall::Multicall, [0x8_0000, count.into(), 0, 0]);
    let (mut seen, mut called) = (Vec::new(), Vec::new());
    for step in steps.iter().copied().chain([u32::MAX >> 1]) {
        let Ok(Request::MmuUpdate(batch)) = next.decode(&memory) else { panic!() };
        let now = batch.len().min(step);
        seen.extend((0..now).map(|index| batch.entry(&memory, index).unwrap().val));
        next = batch.rest(&memory, now, &next).unwrap();

        let Ok(Request::Multicall(batch)) = multi.decode(&memory) else { panic!() };
        let now = batch.len().min(step);
        for index in 0..now {
            called.push(batch.call(&memory, index).unwrap().arguments[0]);
            batch.answer(&memory, index, 7).unwrap();
        }
        // The next one is in its middle, perhaps: it goes on with what it was made.
        let middle = (begun && now < batch.len()).then(|| batch.call(&memory, now).unwrap());
        multi = batch.rest(&memory, now, middle.as_ref()).unwrap();
    }
    assert!(seen.iter().copied().eq(0..u64::from(count)) && called == seen);
    assert_eq!(memory.get::<u32>(0x2000), Ok(count));
    let Ok(Request::MmuUpdate(batch)) = next.decode(&memory) else { panic!() };
    assert!(batch.is_empty() && batch.entry(&memory, 0) == Err(Errno::Invalid));
    for index in 0..u64::from(count) {
        let entry = memory.get::<MulticallEntry>(0x8_0000 + 64 * index).unwrap();
        assert_eq!((entry.op, entry.result, entry.args[0]), (3, 7, index));
    }
}

/// What a guest makes of a batch meanwhile is its own affair: nothing panics, nothing is read behind it.
fn leave_garbage([address, count, done, domain]: [u64; 4], at: u32, bytes: &[u8]) {
    let memory = FakeArguments::default();
    memory.place(address, bytes);
    memory.place(done, &[0xff; 4]);
    for number in [Hypercall::MmuUpdate, Hypercall::MmuextOp, Hypercall::Multicall] {
        let call = call(number, [address, count, done, domain]);
        match call.decode(&memory) {
            Ok(Request::MmuUpdate(batch)) => {
                assert_eq!(batch.entry(&memory, at).is_ok(), at < batch.len() && batch.entry(&memory, at).is_ok());
                if let Ok(Call { arguments: [_, left, ..], .. }) = batch.rest(&memory, at, &call) {
                    assert_eq!(left as u32 & !(1 << 31), batch.len() - at.min(batch.len()));
                }
            }
            Ok(Request::MmuextOp(batch)) => {
                let _ = (batch.entry(&memory, at), batch.report(&memory, at), batch.rest(&memory, at, &call));
            }
            Ok(Request::Multicall(batch)) => {
                let _ = (batch.call(&memory, at), batch.answer(&memory, at, 1));
                let _ = batch.rest(&memory, at, Some(&call));
            }
            _ => {}
        }
    }
}

type Batches = (u32, Vec<u32>, bool, [u64; 4], u32, Vec<u8>);

fn batches() -> impl Strategy<Value = Batches> {
    let number = prop_oneof![0u64..0x100, 0x7fff_fff0u64..0x8000_0010, any::<u64>()];
    let domain = prop_oneof![3 => Just(u64::from(DOMID_SELF)), 1 => any::<u64>()];
    let garbage = (number.clone(), number.clone(), number, domain).prop_map(|(a, b, c, d)| [a, b, c, d]);
    let at = prop_oneof![0u32..32, any::<u32>()];
    let bytes = prop::collection::vec(any::<u8>(), 0..192);
    (0u32..9, prop::collection::vec(0u32..4, 0..5), any::<bool>(), garbage, at, bytes)
}

fn leave((count, steps, begun, garbage, at, bytes): Batches) {
    leave_anywhere(count, &steps, begun);
    leave_garbage(garbage, at, &bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_call_ends_in_a_request_or_a_refusal(any in any_call()) {
        decode_any(any);
    }

    #[test]
    fn batches_go_on_wherever_they_were_left(batches in batches()) {
        leave(batches);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000_000))]

    #[test]
    #[ignore = "a million calls"]
    fn any_call_ends_in_a_request_or_a_refusal_a_million_times(any in any_call()) {
        decode_any(any);
    }

    #[test]
    #[ignore = "a million batches"]
    fn batches_go_on_wherever_they_were_left_a_million_times(batches in batches()) {
        leave(batches);
    }
}
