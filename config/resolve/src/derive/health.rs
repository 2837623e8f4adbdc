// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Health tables, with `otherwise` applied.

use parzelle_schema::file::Health as Written;

use super::Order;
use crate::model::*;
use crate::rules::Ctx;

pub(super) fn tables(cx: &Ctx<'_>, order: &Order) -> Option<Vec<HealthTable>> {
    order.health.iter().map(|name| table(order, name, cx.d.health.iter().find(|h| h.name.value == *name))).collect()
}

fn table(order: &Order, name: &str, written: Option<&Written>) -> Option<HealthTable> {
    let word = |key: &str| written.and_then(|w| w.action(key)).map(|(_, a)| a.value.text.as_str());
    let otherwise = action(order, word("otherwise").unwrap_or("stop"))?;
    let mut actions = [otherwise; 8];
    for (slot, fault) in actions.iter_mut().zip(Fault::ALL) {
        if let Some(word) = word(fault.key()) {
            *slot = action(order, word)?;
        }
    }
    let restarts = written.and_then(|w| w.restarts.good()).map_or((5, 10_000_000_000), |r| r.value);
    Some(HealthTable {
        name: name.to_owned(),
        actions,
        otherwise,
        restarts: Restarts { count: restarts.0, within: restarts.1 },
        give_up: action(order, word("give-up").unwrap_or("stop"))?,
    })
}

fn action(order: &Order, word: &str) -> Option<Action> {
    Some(match word {
        "process" => Action::Process,
        "ignore" => Action::Ignore,
        "log" => Action::Log,
        "stop" => Action::Stop,
        "warm-start" => Action::WarmStart,
        "cold-start" => Action::ColdStart,
        "module-reset" => Action::ModuleReset,
        "module-stop" => Action::ModuleStop,
        other => Action::Schedule(order.schedule(other.strip_prefix("schedule:")?)?),
    })
}
