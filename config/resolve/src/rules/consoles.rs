// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Consoles: PZ0810.

use parzelle_schema::diagnostic::Diagnostic;

use super::Ctx;

/// PZ0810 (warning).
pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let Some(first) = d.consoles.first() else {
        return;
    };
    if d.consoles.iter().any(|c| c.members.good().is_none()) {
        return;
    }
    for p in d.partitions.iter().filter(|p| p.guest.is_some()) {
        let member = d
            .consoles
            .iter()
            .filter_map(|c| c.members.good())
            .flat_map(|l| &l.value)
            .any(|e| e.end.partition == "*" || e.end.partition == p.name.value);
        if !member {
            cx.push(
                Diagnostic::warning(
                    "PZ0810",
                    format!("the guest `{}` has no console", p.name.value),
                    p.table.head,
                    "nobody will see what it prints",
                )
                .counter_if(first.members.place(), "the members of the console")
                .help(format!("add `\"{}\"` to the members", p.name.value)),
            );
        }
    }
}
