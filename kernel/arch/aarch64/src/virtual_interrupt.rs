// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! List registers: the kernel composes them from what the shim asks for, and folds back what the
//! guest has done.
//!
//! ```text
//!   GICv3 ICH_LR<n>_EL2 (IHI 0069, §12.4.10)     63:62 state  61 HW  60 group  55:48 priority
//!                                                41 EOI maintenance (HW = 0)   31:0 INTID
//!   GICv2 GICH_LR<n>    (IHI 0048, §5.3.9)       31 HW  30 group  29:28 state  27:23 priority
//!                                                19 EOI maintenance (HW = 0)   9:0 INTID
//! ```
//! HW stays 0: a shim can't reach a physical line through a list register.

use parzelle_abi::aarch64::VirtualInterrupt;

/// The state of a guest's virtual CPU interface.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Virtual {
    /// VMCR: what the guest has set for its CPU interface.
    pub(crate) control: u64,
    /// Active priorities, group 0 and 1.
    pub(crate) active: [u64; 2],
    /// The list registers, when the vCPU was left within the guest.
    pub(crate) lists: [u64; parzelle_abi::aarch64::LIST_REGISTERS],
}

/// Largest INTID + 1 of interrupts that a guest may be given: SGIs, PPIs and SPIs.
const INTIDS: u32 = 1020;

/// Composes a list register; 0 for an entry that is free or out of range. `notify`: the end raises
/// the maintenance interrupt even if the entry does not ask for it. Guests run with group 1 on a
/// GICv3, with group 0 on a GICv2.
pub(crate) const fn compose(entry: VirtualInterrupt, notify: bool, v2: bool) -> u64 {
    let (state, priority) = ((entry.state & 3) as u64, entry.priority as u64);
    if state == 0 || entry.intid >= INTIDS {
        return 0;
    }
    let end = (entry.flags & 1 != 0 || notify) as u64;
    let rest = if v2 {
        state << 28 | (priority >> 3) << 23 | end << 19
    } else {
        state << 62 | 1 << 60 | priority << 48 | end << 41
    };
    rest | entry.intid as u64
}

/// The state that the guest left in a list register.
pub(crate) const fn state(list: u64, v2: bool) -> u8 {
    (if v2 { list >> 28 } else { list >> 62 }) as u8 & 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(intid: u32, priority: u8, state: u8, flags: u8) -> VirtualInterrupt {
        VirtualInterrupt { intid, priority, state, flags, reserved: 0 }
    }

    /// Values that guests took on both versions.
    #[test]
    fn known_values() {
        assert_eq!(compose(entry(42, 0x80, 1, 0), false, false), 0x5080_0000_0000_002a);
        assert_eq!(compose(entry(42, 0x80, 1, 0), false, true), 0x1800_002a);
        assert_eq!(compose(entry(27, 0xa0, 3, 1), false, false), 0xd0a0_0200_0000_001b);
        assert_eq!(compose(entry(27, 0xa0, 2, 0), true, true), 0x2a08_001b);
    }

    #[test]
    fn whatever_the_shim_writes_stays_virtual() {
        for intid in [0, 31, 1019, 1020, 4095, 8192, u32::MAX] {
            for state in 0..=255 {
                for flags in [0, 1, 0xff] {
                    let entry = entry(intid, state, state, flags);
                    let (v3, v2) = (compose(entry, false, false), compose(entry, true, true));
                    assert_eq!(v3 >> 61 & 1, 0, "HW");
                    assert_eq!(v2 >> 31, 0, "HW, and nothing above");
                    assert!(v3 as u32 <= 1019 && v2 & 0x3ff <= 1019);
                    assert_eq!(v3 == 0, state & 3 == 0 || intid > 1019);
                }
            }
        }
    }

    #[test]
    fn states_are_read_back() {
        for wanted in 0..=3 {
            let entry = entry(40, 8, wanted, 0);
            assert_eq!(state(compose(entry, false, false), false), wanted);
            assert_eq!(state(compose(entry, false, true), true), wanted);
        }
    }
}
