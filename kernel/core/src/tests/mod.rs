// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The core on the fake machine.

mod cores;
mod hostile;
mod life;
mod mail;
mod messages;
mod system;
mod time;
mod windows;

use crate::CoreState;
use crate::machine::fake::{Context, Fake};
use parzelle_abi::Call;
use parzelle_plan::Plan;
pub(crate) use system::{Cell, MEMORY, MS, System};

impl System {
    /// Boots a system of one core; the first frame begins at 1 ms.
    pub(crate) fn boot(&self) -> Sim {
        let (plan, mut cores) = self.boot_cores();
        let mut core = cores.remove(0);
        core.start(MS);
        Sim { core, plan }
    }
}

/// A booted system.
pub(crate) struct Sim {
    pub(crate) core: CoreState<Fake>,
    pub(crate) plan: Plan<'static>,
}

impl Sim {
    /// Lets time pass until `time`; whoever runs computes.
    pub(crate) fn run_to(&mut self, time: u64) {
        while self.core.machine.armed <= time && self.core.machine.halted.is_none() {
            self.core.machine.time = self.core.machine.time.max(self.core.machine.armed);
            self.core.on_timer();
        }
        self.core.machine.time = self.core.machine.time.max(time);
    }

    /// The partition that runs.
    pub(crate) fn running(&self) -> Option<u32> {
        self.core.current().map(|vcpu| self.plan.vcpus()[vcpu as usize].partition)
    }

    /// A call of whoever runs; its status and value, if it has returned.
    pub(crate) fn call(&mut self, call: Call, arguments: &[u64]) -> Option<(u64, u64)> {
        let mut all = [0; 5];
        all[..arguments.len()].copy_from_slice(arguments);
        let vcpu = self.core.current().expect("somebody runs");
        let before = self.context(vcpu).results.len();
        self.core.on_call(call as u64, all);
        let results = &self.context(vcpu).results;
        (results.len() > before).then(|| results[results.len() - 1])
    }

    pub(crate) fn context(&mut self, vcpu: u32) -> &mut Context {
        self.core.machine.contexts.entry(vcpu).or_default()
    }

    /// The vCPU of a partition.
    pub(crate) fn vcpu(&self, partition: u32) -> u32 {
        self.plan.partition_vcpus()[self.plan.partitions()[partition as usize].vcpus.first as usize]
    }

    /// Lets whoever is ready wait for a moment until `partition` runs.
    pub(crate) fn until_runs(&mut self, partition: u32) {
        for _ in 0..1000 {
            if self.running() == Some(partition) {
                return;
            }
            match self.running() {
                Some(_) => {
                    let moment = self.core.machine.time + 1000;
                    self.call(Call::Wait, &[moment, 0]);
                }
                None => self.run_to(self.core.machine.armed),
            }
        }
        panic!("partition {partition} does not run");
    }
}
