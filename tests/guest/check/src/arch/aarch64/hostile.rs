// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What handlers of signals leave behind for the kernel to return to.

use crate::returns::Change;

/// What no program may come back with: its process ends.
pub(crate) const HOSTILE_RETURNS: [(&str, Change); 12] = [
    ("EL1h", |context| context.uc_mcontext.pstate |= 0x5),
    ("EL1t", |context| context.uc_mcontext.pstate |= 0x4),
    ("EL2h", |context| context.uc_mcontext.pstate |= 0x9),
    ("EL3h", |context| context.uc_mcontext.pstate |= 0xd),
    ("interrupts masked", |context| context.uc_mcontext.pstate |= 0x3c0),
    ("32-bit supervisor", |context| context.uc_mcontext.pstate |= 0x13),
    ("pc of the kernel", |context| context.uc_mcontext.pc = 0xffff_8000_0800_0000),
    ("pc between the ranges", |context| context.uc_mcontext.pc = 0x0100_0000_0000_0000),
    ("pc of the upper end", |context| context.uc_mcontext.pc = 0xffff_ffff_ffff_fffc),
    ("pc misaligned", |context| context.uc_mcontext.pc |= 2),
    ("sp of the kernel", |context| context.uc_mcontext.sp = 0xffff_8000_0800_0000),
    ("sp misaligned", |context| context.uc_mcontext.sp |= 1),
];
