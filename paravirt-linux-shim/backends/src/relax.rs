// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How a vCPU waits for a lock that another holds, who may be on the same core.

use core::hint::spin_loop;

use parzelle_rt::time;
use spin::relax::RelaxStrategy;

/// Lets equals go first.
#[derive(Clone, Copy, Debug)]
pub struct GiveWay;

impl RelaxStrategy for GiveWay {
    fn relax() {
        spin_loop();
        // No event is asked for, so none is taken.
        time::poll(0);
    }
}
