// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What an exception of a partition means (Intel SDM, Vol. 3A, table 6-1).

use parzelle_abi::health::ErrorId;
use parzelle_core::machine::Fault;

/// Divide error.
pub const DE: u64 = 0;
/// Debug.
pub const DB: u64 = 1;
/// Non-maskable interrupt.
pub const NMI: u64 = 2;
/// Invalid opcode.
pub const UD: u64 = 6;
/// Double fault.
pub const DF: u64 = 8;
/// Page fault.
pub const PF: u64 = 14;
/// x87 error.
pub const MF: u64 = 16;
/// Alignment check.
pub const AC: u64 = 17;
/// Machine check.
pub const MC: u64 = 18;
/// SIMD error.
pub const XM: u64 = 19;
/// Vectors below are exceptions.
pub const EXCEPTIONS: u64 = 32;

/// Names what a partition did. `rip` is where, `cr2` the address of a page fault.
pub fn decode(vector: u64, error: u64, rip: u64, cr2: u64) -> Fault {
    let (id, address) = match vector {
        DE | MF | XM => (ErrorId::NumericError, rip),
        PF => (ErrorId::MemoryViolation, cr2),
        NMI | DF | MC => (ErrorId::HardwareFault, rip),
        _ => (ErrorId::IllegalRequest, rip),
    };
    Fault { error: id, syndrome: vector | error << 32, address }
}

/// The mnemonic of an exception, for the kernel's last words.
pub fn name(vector: u64) -> &'static str {
    const NAMES: [&str; 20] = [
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS", "#GP", "#PF", "",
        "#MF", "#AC", "#MC", "#XM",
    ];
    NAMES.get(vector as usize).unwrap_or(&"exception")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_has_its_meaning() {
        for (vector, error) in [
            (0, ErrorId::NumericError),
            (1, ErrorId::IllegalRequest),
            (3, ErrorId::IllegalRequest),
            (4, ErrorId::IllegalRequest),
            (6, ErrorId::IllegalRequest),
            (7, ErrorId::IllegalRequest),
            (12, ErrorId::IllegalRequest),
            (13, ErrorId::IllegalRequest),
            (14, ErrorId::MemoryViolation),
            (16, ErrorId::NumericError),
            (17, ErrorId::IllegalRequest),
            (19, ErrorId::NumericError),
        ] {
            let fault = decode(vector, 5, 0x40_0000, 0xdead);
            assert_eq!(fault.error, error, "vector {vector}");
            assert_eq!(fault.syndrome, vector | 5 << 32);
            assert_eq!(fault.address, if vector == PF { 0xdead } else { 0x40_0000 });
        }
        assert_eq!(name(13), "#GP");
        assert_eq!(name(99), "exception");
    }
}
