// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! One turn: the guest was left, something is done about it, the guest goes on.

use crate::own::Cause;
use crate::vcpu::Vcpu;

#[cfg(target_os = "none")]
mod places {
    use crate::vectors;

    pub(super) fn exit(user: bool, fast: bool) -> u64 {
        let block = match (user, fast) {
            (false, _) => vectors::exit_kernel,
            (true, true) => vectors::exit_fast,
            (true, false) => vectors::exit_full,
        };
        block as *const () as u64
    }

    pub(super) fn call(thin: bool) -> u64 {
        let handler = if thin { vectors::bounce } else { vectors::bounce_slow };
        handler as *const () as u64
    }
}

/// Nobody goes anywhere on a host.
#[cfg(not(target_os = "none"))]
mod places {
    pub(super) fn exit(_: bool, _: bool) -> u64 {
        0
    }
    pub(super) fn call(_: bool) -> u64 {
        0
    }
}

pub(crate) fn exit(user: bool, fast: bool) -> u64 { places::exit(user, fast) }
/// What handles system calls.
pub(crate) fn slow_call() -> u64 { places::call(false) }


/// Called by the assembly when the guest was left; the assembly then goes where `finish` says.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) extern "C" fn turn(vcpu: &mut Vcpu, cause: u64) {
    let cause = Cause::ALL.get(cause as usize).copied().unwrap_or(Cause::ExitFault);
    vcpu.begin(cause);
    vcpu.finish();
}
