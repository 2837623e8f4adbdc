// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A board's overrides, laid over the common part before any type is read.
//!
//! Keys replace keys, tables are merged, lists are replaced as a whole. What wins keeps its own
//! place, so that a finding points into the line that won.

use crate::source::Place;
use crate::tree::{Table, Value};

/// An override that changes nothing: itself, and the same value in the common part.
pub type Idle = (Place, Place);

/// Lays `over` over `common`.
pub fn merge(common: &Table, over: &Table, idle: &mut Vec<Idle>) -> Table {
    let mut out = common.clone();
    lay(&mut out, over, idle);
    out
}

fn lay(common: &mut Table, over: &Table, idle: &mut Vec<Idle>) {
    for (key, node) in &over.entries {
        let Some((_, old)) = common.entries.iter_mut().find(|(k, _)| k.name == key.name) else {
            common.entries.push((key.clone(), node.clone()));
            continue;
        };
        match (&mut old.value, &node.value) {
            (Value::Table(old), Value::Table(new)) => lay(old, new, idle),
            (a, b) => {
                if same(a, b) {
                    idle.push((node.place, old.place));
                }
                *old = node.clone();
            }
        }
    }
}

/// Equal apart from places.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String { text: a, .. }, Value::String { text: b, .. }) => a == b,
        (Value::Integer(a), Value::Integer(b)) => a == b,
        (Value::Boolean(a), Value::Boolean(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(&a.value, &b.value))
        }
        (Value::Table(a), Value::Table(b)) => {
            a.entries.len() == b.entries.len()
                && a.entries
                    .iter()
                    .all(|(k, n)| b.entry(&k.name).is_some_and(|(_, other)| same(&n.value, &other.value)))
        }
        _ => false,
    }
}
