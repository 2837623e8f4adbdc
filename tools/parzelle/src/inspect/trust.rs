// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Derived values, each with its origin, and what must be trusted.

use parzelle_plan::Plan;
use parzelle_resolve::lower::Report;

/// Prints both.
pub(super) fn print(plan: &Plan<'_>, report: &Report) {
    println!("\nValues");
    for entry in &report.values {
        println!("  {:<16} {:<16} {:<28} {}", entry.of, entry.key, entry.value, entry.origin);
    }
    println!("\nTo be trusted");
    println!("  {:<16} the kernel for {}: it fences all others", "kernel", plan.system.board.as_str());
    for (who, why) in &report.trusted {
        println!("  {who:<16} {why}");
    }
    if report.trusted.is_empty() {
        println!("  {:<16} no partition reaches beyond itself", "nobody else");
    }
}
