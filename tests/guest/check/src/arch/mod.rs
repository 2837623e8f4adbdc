// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The one place where architectures are told apart. Both modules offer the same names, and each has
//! checks of its own.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::*;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;

use std::fs;

use guest_support::processor;

use crate::verdict::{Verdict, equal, wrong};

/// Whether the lower half of a number, which is what counts, could be a system call's.
pub(crate) fn is_call(number: u64) -> bool {
    let low = number as u32;
    low < 600 || low & !0x4000_0000 < 600
}

/// `/proc/cpuinfo` names each processor once, and each has what all of them have.
pub(crate) fn cpuinfo() -> Verdict {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let values = |key: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned()).collect()
    };
    equal("processors", processor::allowed().len(), values("processor").len())?;
    let features = values(FEATURES);
    equal("lists of features", processor::allowed().len(), features.len())?;
    for list in &features {
        for feature in EXPECTED_FEATURES {
            if !list.split(' ').any(|word| word == *feature) {
                return wrong("features", feature, list);
            }
        }
    }
    let speed = values(SPEED).first().and_then(|value| value.parse::<f64>().ok());
    equal("whether there is a speed", true, speed.is_some_and(|speed| speed > 1.0))?;
    more_of_cpuinfo(&features)
}
