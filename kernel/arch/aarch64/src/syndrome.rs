// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a synchronous exception means (Arm ARM D24.2.40, ESR_EL2).

use parzelle_abi::health::ErrorId;

/// Exception classes (ESR_EL2.EC).
pub(crate) mod class {
    /// WFI or WFE.
    pub(crate) const WAIT: u64 = 0x01;
    /// FP/SIMD, trapped by CPTR_EL2.
    pub(crate) const FP: u64 = 0x07;
    /// SVC in AArch64.
    pub(crate) const SVC: u64 = 0x15;
    /// Fetch from below.
    pub(crate) const FETCH: u64 = 0x20;
    /// Load or store from below.
    pub(crate) const DATA: u64 = 0x24;
    /// FP exception in AArch64.
    pub(crate) const FP_EXCEPTION: u64 = 0x2c;
}

/// The exception class.
pub(crate) const fn exception_class(syndrome: u64) -> u64 {
    syndrome >> 26 & 0x3f
}

/// Whether it is an abort, so that FAR_EL2 holds an address.
pub(crate) const fn is_abort(syndrome: u64) -> bool {
    matches!(exception_class(syndrome), class::FETCH | class::DATA)
}

/// Whether it is an abort whose syndrome says what the access was (ISS.ISV).
pub(crate) const fn is_described(syndrome: u64) -> bool {
    is_abort(syndrome) && syndrome >> 24 & 1 != 0
}

/// The fault status code of an abort.
const fn status(syndrome: u64) -> u64 {
    syndrome & 0x3f
}

/// Whether the page of the abort has to be found by translation: HPFAR_EL2 is unknown after a
/// permission fault that was not on a walk of stage 1 (S1PTW; ARM ARM D24.2.65).
pub(crate) const fn page_unknown(syndrome: u64) -> bool {
    status(syndrome) >> 2 == 0b11 && syndrome >> 7 & 1 == 0
}

/// What an exception from a native partition means for the health monitor.
pub(crate) const fn error(syndrome: u64) -> ErrorId {
    match exception_class(syndrome) {
        class::FETCH | class::DATA => match status(syndrome) {
            // External aborts, on the access itself or on a walk; parity and ECC.
            0x10 | 0x13..=0x17 | 0x18 | 0x1b..=0x1f => ErrorId::HardwareFault,
            // Alignment; exclusives to memory that has none.
            0x21 | 0x35 => ErrorId::IllegalRequest,
            _ => ErrorId::MemoryViolation,
        },
        class::FP_EXCEPTION => ErrorId::NumericError,
        _ => ErrorId::IllegalRequest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Syndromes as QEMU reports them for the probes of a native partition.
    #[test]
    fn probes() {
        let cases = [
            (0x9200_0000 | 0x01c0_804f, ErrorId::MemoryViolation, "write to read-only"),
            (0x9200_0006, ErrorId::MemoryViolation, "nothing mapped"),
            (0x8200_000f, ErrorId::MemoryViolation, "fetch from data"),
            (0x9200_0010, ErrorId::HardwareFault, "nothing on the bus"),
            (0x9200_0021, ErrorId::IllegalRequest, "exclusive, not aligned"),
            (0x8a00_0000, ErrorId::IllegalRequest, "program counter not aligned"),
            (0x0200_0000, ErrorId::IllegalRequest, "undefined here"),
            (0x5a00_0000, ErrorId::IllegalRequest, "hvc"),
            (0x6232_c016, ErrorId::IllegalRequest, "system register"),
            (0x1e00_0000, ErrorId::IllegalRequest, "FP without the flag"),
            (0xb200_0000, ErrorId::NumericError, "FP exception"),
        ];
        for (syndrome, expected, what) in cases {
            assert_eq!(error(syndrome), expected, "{what}");
        }
    }

    #[test]
    fn calls_are_told_from_the_rest() {
        assert_eq!(exception_class(0x5600_0000), class::SVC);
        assert_eq!(exception_class(0x1f_5600_0000), class::SVC, "ISS2 above");
        assert!(is_abort(0x9200_0006) && is_abort(0x8200_000f) && !is_abort(0x5600_0000));
    }

    #[test]
    fn only_permission_faults_leave_the_page_unknown() {
        assert!(page_unknown(0x9200_004f));
        assert!(!page_unknown(0x9200_0047), "translation");
        assert!(!page_unknown(0x9200_00cf), "on a walk of stage 1");
        assert!(is_described(0x9300_0047) && !is_described(0x9200_0047) && !is_described(0x5b00_0000));
    }
}
