// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random calls with random memory: every one has an answer, and nothing goes on for ever.

use proptest::prelude::*;

use super::guest::{Cpu, FakeHost, House, SCRATCH};
use crate::decode::Call;
use crate::domain::{News, Next, Turn};
use crate::memory::{Arguments, Page};

/// Calls that are the domain's.
const CALLS: [u64; 13] = [12, 15, 17, 18, 20, 21, 24, 29, 29, 32, 32, 33, 40];

/// A number that hits the edges of things.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..6,
        3 => 0u64..80,
        2 => (0u64..0x1000).prop_map(|at| SCRATCH + 8 * (at % 0x200)),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
        1 => (0u64..1 << 20).prop_map(|ns| 1000 * ns),
    ]
}

/// What is done to the domain.
#[derive(Clone, Debug)]
enum Step {
    Call(u32, usize, [u64; 3]),
    /// Words of the structures that calls point to.
    Scribble(u64, u64),
    /// Words of pages that are shared.
    Shared(usize, usize, u64),
    Told(u32, bool, bool, bool),
    Type(u8),
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let three = [number(), number(), number()];
    prop_oneof![
        6 => (0u32..3, 0..CALLS.len(), three).prop_map(|(vcpu, call, arguments)| Step::Call(vcpu, call, arguments)),
        3 => (0u64..0x200, number()).prop_map(|(at, value)| Step::Scribble(SCRATCH + 8 * at, value)),
        1 => (0usize..4, 0usize..512, any::<u64>()).prop_map(|(page, at, value)| Step::Shared(page, 8 * at, value)),
        1 => (0u32..4, any::<[bool; 3]>()).prop_map(|(vcpu, [a, b, c])| Step::Told(vcpu, a, b, c)),
        1 => any::<u8>().prop_map(Step::Type),
        1 => (0u32..1 << 22).prop_map(Step::Pass),
    ]
}

fn play(steps: Vec<Step>, queues: bool) -> Result<(), TestCaseError> {
    let house = House::sized(&[0, 1, 1], 0x1800);
    let mut setup = house.setup();
    setup.queues = queues;
    let domain = crate::domain::Domain::new(setup).unwrap();
    // Who waits for what never comes is ended.
    let host = FakeHost::when_idle(|host| {
        domain.end(0, host);
        News::default()
    });
    for step in steps {
        match step {
            Step::Call(vcpu, call, arguments) => {
                let cpu = Cpu { house: &house, domain: &domain, index: vcpu, host: &host };
                let mut all = [0; 6];
                all[..3].copy_from_slice(&arguments);
                let call = Call { number: CALLS[call], arguments: all };
                let Ok(request) = call.decode(&house.guest) else { continue };
                let answer = domain.handle(vcpu, &request, &house.guest, cpu.host);
                let Some(answer) = answer else { continue };
                // With a repeating timer that nobody hears one sleeps for ever, and rightly so.
                let sleeps = matches!(answer.next, Next::Block | Next::Poll(_));
                if !(sleeps && host.state.lock().unwrap().timer.is_some())
                    && domain.pause(vcpu, answer.next, &house.guest, &host) == Turn::Over
                {
                    prop_assert!(domain.is_over());
                    return Ok(());
                }
            }
            Step::Scribble(at, value) => house.guest.put(at, &value).unwrap(),
            Step::Shared(0, at, value) => house.shared.store64(at, value),
            Step::Shared(1, at, value) => house.console.store64(at, value),
            Step::Shared(page, at, value) => house.guest.frames.0[page].store64(at, value),
            Step::Told(vcpu, timer, kick, input) => {
                domain.events(vcpu, News { timer, kick, input });
                if domain.is_up(vcpu) {
                    let _ = domain.before_guest(vcpu, &house.guest, &host);
                }
            }
            Step::Type(byte) => host.state.lock().unwrap().typed.push_back(byte),
            Step::Pass(ns) => host.pass(ns.into()),
        }
    }
    let state = host.state.lock().unwrap();
    prop_assert!(state.printed.len() <= 120 * 4096);
    prop_assert!(state.kicked.iter().all(|vcpu| *vcpu < 3));
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_a_guest_does_has_an_answer(steps in steps(), queues: bool) {
        play(steps, queues)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(18_000))]
    #[test]
    #[ignore = "a million steps"]
    fn whatever_a_guest_does_has_an_answer_a_million_times(steps in steps(), queues: bool) {
        play(steps, queues)?;
    }
}
