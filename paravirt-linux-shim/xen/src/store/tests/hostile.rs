// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Messages that make no sense: each has an answer, nothing is written that must not be, and the
//! store is as good as before for those that do.

use proptest::prelude::*;

use super::client::Client;
use super::store;
use crate::memory::Page;
use crate::store::Store;

#[derive(Clone, Debug)]
enum Step {
    /// A message that looks like one.
    Ask(u32, u32, Vec<u8>),
    /// Words anywhere in the page.
    Scribble(usize, u64),
    Serve,
    Put(u8),
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let path = prop_oneof![
        Just("device/vbd/1".to_string()),
        Just("/local/domain/0/backend".to_string()),
        Just("control/shutdown".to_string()),
        Just("/".to_string()),
        "[a-c/@]{0,6}",
        "(/local/domain/1/|)[ab](/[ab]){0,5}",
    ];
    let rest = prop_oneof![
        Just(vec![]),
        Just(b"\0".to_vec()),
        Just(b"\0x\0".to_vec()),
        Just(b"\0T\0".to_vec()),
        prop::collection::vec(any::<u8>(), 0..140)
    ];
    (path, rest).prop_map(|(path, rest)| [path.into_bytes(), rest].concat())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u32..24, 0u32..4, body()).prop_map(|(kind, transaction, body)| Step::Ask(kind, transaction, body)),
        2 => (0usize..512, any::<u64>()).prop_map(|(word, value)| Step::Scribble(8 * word, value)),
        // Counts, near one another.
        2 => (256usize..260, 0u64..3000).prop_map(|(word, value)| Step::Scribble(8 * word, value | value << 33)),
        2 => Just(Step::Serve),
        1 => any::<u8>().prop_map(Step::Put),
    ]
}

fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut store = store();
    let mut honest = Some(Client::new());
    let mut page = crate::memory::fake::FakePage::default();
    for step in steps {
        match step {
            Step::Ask(kind, transaction, body) => match &mut honest {
                Some(client) => _ = client.ask(&mut store, kind, transaction, &body),
                None => _ = store.serve(&page),
            },
            Step::Scribble(at, value) => {
                // From here on nobody can tell what is a message.
                if let Some(client) = honest.take() {
                    page = client.page.clone();
                }
                page.store64(at, value);
            }
            Step::Serve => match &mut honest {
                Some(client) => _ = client.events(&mut store),
                None => _ = store.serve(&page),
            },
            Step::Put(value) => _ = store.put("/local/domain/0/backend/vbd/1/1/state", &[value]),
        }
    }
    check(&mut store)
}

/// What the guest must not change.
fn check(store: &mut Store) -> Result<(), TestCaseError> {
    prop_assert!(store.get("/local/domain/0/backend").is_some_and(<[u8]>::is_empty));
    prop_assert!(store.get("/local/domain/1").is_some());
    prop_assert!(store.put("/local/domain/0/backend", b"").is_ok());
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_is_asked_has_an_answer(steps in steps()) {
        play(steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]
    #[test]
    #[ignore = "two million messages"]
    fn whatever_is_asked_has_an_answer_a_million_times(steps in steps()) {
        play(steps)?;
    }
}
