// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random histories against a model that knows for each port: bound to whom, pending, masked.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::guest::{House, Queues, take};
use crate::abi::shared::at;
use crate::memory::Page;

const VCPUS: u32 = 3;
const PORTS: usize = 200;

#[derive(Clone, Debug)]
enum Step {
    Bind(u32),
    Move(u32, u32),
    Prioritise(u32, u32),
    Close(u32),
    Raise(u32),
    Mask(u32),
    Unmask(u32),
    Take(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let port = || 0..24u32;
    prop_oneof![
        3 => (0..VCPUS).prop_map(Step::Bind),
        2 => (port(), 0..VCPUS).prop_map(|(port, vcpu)| Step::Move(port, vcpu)),
        1 => (port(), 0..18u32).prop_map(|(port, queue)| Step::Prioritise(port, queue)),
        1 => port().prop_map(Step::Close),
        8 => port().prop_map(Step::Raise),
        2 => port().prop_map(Step::Mask),
        3 => port().prop_map(Step::Unmask),
        3 => (0..VCPUS).prop_map(Step::Take),
    ]
}

#[derive(Clone, Copy, Default)]
struct Known {
    vcpu: u32,
    pending: bool,
    masked: bool,
}

fn play(steps: &[Step], queued: bool) {
    let house = House::new(VCPUS as usize, PORTS);
    let events = house.events();
    let queues = queued.then(|| Queues::begin(&events, VCPUS, 1));
    let mut model: BTreeMap<u32, Known> = BTreeMap::new();
    let mask = |port: u32| match &queues {
        Some(queues) => queues.mask(port),
        None => {
            house.shared.set64(at::MASK + port as usize / 64 * 8, 1 << (port % 64));
        }
    };
    let taken = |model: &mut BTreeMap<u32, Known>, vcpu: u32| {
        // A port that moved is taken where it waits: Linux takes it there, too.
        let ports = match &queues {
            Some(queues) => queues.take(&house.shared, vcpu),
            None => take(&house.shared, vcpu, |port| model.get(&port).is_some_and(|known| known.vcpu == vcpu)),
        };
        for port in ports {
            let known = model.get_mut(&port).unwrap_or_else(|| panic!("{port} is closed"));
            assert!(known.pending && !known.masked, "{port} was never raised, or is masked");
            known.pending = false;
        }
    };
    for step in steps {
        match *step {
            Step::Bind(vcpu) => {
                let port = events.alloc_unbound(0).unwrap();
                events.bind_vcpu(port, vcpu).unwrap();
                events.unmask(port).unwrap();
                assert!(model.insert(port, Known { vcpu, ..Known::default() }).is_none());
            }
            Step::Move(port, vcpu) => {
                let found = model.get_mut(&port);
                assert_eq!(events.bind_vcpu(port, vcpu).is_ok(), found.is_some());
                // As Linux does: masked, moved, and if pending, unmasked by call to be told there.
                if let Some(known) = found {
                    known.vcpu = vcpu;
                    if !known.masked {
                        mask(port);
                        events.unmask(port).unwrap();
                    }
                }
            }
            Step::Prioritise(port, queue) => {
                let fine = queued && queue < 16 && port != 0;
                assert_eq!(events.set_priority(port, queue).is_ok(), fine);
            }
            Step::Close(port) => assert_eq!(events.close(port).is_ok(), model.remove(&port).is_some()),
            Step::Raise(port) => {
                let kicked = events.raise(port);
                match model.get_mut(&port) {
                    Some(known) => {
                        known.pending = true;
                        assert!(!known.masked || kicked.bits() == 0, "a masked port kicks nobody");
                    }
                    None => assert_eq!(kicked.bits(), 0, "a closed port kicks nobody"),
                }
            }
            Step::Mask(port) => {
                if let Some(known) = model.get_mut(&port) {
                    known.masked = true;
                    mask(port);
                }
            }
            Step::Unmask(port) => {
                let result = events.unmask(port);
                assert_eq!(result.is_ok(), port != 0);
                if let Some(known) = model.get_mut(&port) {
                    known.masked = false;
                }
            }
            Step::Take(vcpu) => taken(&mut model, vcpu),
        }
        for (port, known) in &model {
            assert_eq!(events.is_pending(*port), Ok(known.pending), "port {port} after {step:?}");
        }
    }
    // Whoever has an upcall takes it: then nothing unmasked is left over.
    for vcpu in 0..VCPUS {
        if events.is_deliverable(vcpu) {
            taken(&mut model, vcpu);
        }
    }
    let lost: Vec<_> = model.iter().filter(|(_, known)| known.pending && !known.masked).map(|(port, _)| port).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_event_is_lost_or_invented_in_the_bitmaps(steps in prop::collection::vec(step(), 0..80)) {
        play(&steps, false);
    }

    #[test]
    fn no_event_is_lost_or_invented_in_the_queues(steps in prop::collection::vec(step(), 0..80)) {
        play(&steps, true);
    }

    /// A guest that writes anything into its event words and control block: no hang, no panic.
    #[test]
    fn a_hostile_guest_harms_itself_only(
        steps in prop::collection::vec((step(), 0usize..1024, any::<u32>()), 0..200),
    ) {
        let house = House::new(VCPUS as usize, PORTS);
        let events = house.events();
        let queues = Queues::begin(&events, VCPUS, 1);
        for _ in 0..24 {
            events.bind_ipi(0).unwrap();
        }
        for (step, word, value) in &steps {
            queues.words[0].store32(word % 32 * 4, *value);
            queues.control[0].store32(word % 24 * 4, *value);
            match *step {
                Step::Raise(port) => { let _ = events.raise(port); }
                Step::Unmask(port) | Step::Mask(port) => { let _ = events.unmask(port); }
                Step::Close(port) => { let _ = events.close(port); }
                Step::Bind(vcpu) => { let _ = events.bind_ipi(vcpu); }
                Step::Move(port, vcpu) => { let _ = events.bind_vcpu(port, vcpu); }
                Step::Prioritise(port, queue) => { let _ = events.set_priority(port, queue); }
                Step::Take(vcpu) => { let _ = events.is_deliverable(vcpu); }
            }
        }
    }
}
