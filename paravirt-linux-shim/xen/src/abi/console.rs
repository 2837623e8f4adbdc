// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console's rings (`io/console.h`).

/// Bytes of the ring of input.
pub const IN: usize = 1024;
/// Bytes of the ring of output.
pub const OUT: usize = 2048;

/// Where things lie in the console's page (`xencons_interface`). Counts are 32 bits.
pub mod at {
    /// The ring of input.
    pub const IN: usize = 0;
    /// The ring of output.
    pub const OUT: usize = IN + super::IN;
    /// How much input the guest has read.
    pub const IN_CONS: usize = OUT + super::OUT;
    /// How much input there was.
    pub const IN_PROD: usize = IN_CONS + 4;
    /// How much output was printed.
    pub const OUT_CONS: usize = IN_PROD + 4;
    /// How much output the guest has written.
    pub const OUT_PROD: usize = OUT_CONS + 4;
}
