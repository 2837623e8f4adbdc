// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Health tables.

use parzelle_abi::health::Action as Number;
use parzelle_plan::{ActionRecord, HealthRecord};

use crate::model::{Action, HealthTable};

/// Writes a table down. The errors of the model are in the order of the kernel interface.
pub(crate) fn record(table: &HealthTable) -> HealthRecord {
    HealthRecord {
        actions: table.actions.map(action),
        give_up: action(table.give_up),
        otherwise: action(table.otherwise),
        restarts: table.restarts.count,
        restart_period: table.restarts.within,
        ..HealthRecord::default()
    }
}

fn action(action: Action) -> ActionRecord {
    let (number, argument) = match action {
        Action::Process => (Number::Process, 0),
        Action::Ignore => (Number::Ignore, 0),
        Action::Log => (Number::Log, 0),
        Action::Stop => (Number::Stop, 0),
        Action::WarmStart => (Number::WarmStart, 0),
        Action::ColdStart => (Number::ColdStart, 0),
        Action::ModuleReset => (Number::ModuleReset, 0),
        Action::ModuleStop => (Number::ModuleStop, 0),
        Action::Schedule(schedule) => (Number::Schedule, schedule.0 as u32),
    };
    ActionRecord { action: number as u32, argument }
}

#[cfg(test)]
mod tests {
    use crate::model::Fault;
    use parzelle_abi::health::ErrorId;

    #[test]
    fn errors_have_the_numbers_of_the_kernel_interface() {
        assert_eq!(Fault::ALL.len(), ErrorId::ALL.len());
        for (fault, error) in Fault::ALL.iter().zip(ErrorId::ALL) {
            assert_eq!(fault.key(), error.name());
        }
    }
}
