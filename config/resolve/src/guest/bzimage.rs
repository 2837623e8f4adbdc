// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The frame of a bzImage (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
//!
//! ```text
//!   0x1f1  setup_sects      0x206  protocol version      0x248  payload_offset
//!   0x202  "HdrS"                                        0x24c  payload_length
//!   ─ boot sector + setup_sects × 512 ─▶ protected-mode code ─ payload_offset ─▶ payload
//! ```

/// The first protocol version that tells where the payload is: 2.08, Linux 2.6.24.
const VERSION: u16 = 0x208;
/// Bytes of a sector.
const SECTOR: usize = 512;

/// Whether a file looks like one.
pub(super) fn is_one(file: &[u8]) -> bool {
    file.get(0x1fe..0x200) == Some(&[0x55, 0xaa]) && file.get(0x202..0x206) == Some(b"HdrS")
}

/// The compressed kernel in it.
pub(super) fn payload(file: &[u8]) -> Result<&[u8], String> {
    let byte = |at: usize| file.get(at).copied().unwrap_or(0);
    let version = u16::from_le_bytes([byte(0x206), byte(0x207)]);
    if version < VERSION {
        let (major, minor) = (version >> 8, version & 0xff);
        return Err(format!("a bzImage with boot protocol {major}.{minor:02}; 2.08 is the oldest that will do"));
    }
    let long = |at: usize| u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]) as usize;
    let sectors = match byte(0x1f1) {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * SECTOR + long(0x248);
    match file.get(start..).and_then(|rest| rest.get(..long(0x24c))) {
        Some(payload) if !payload.is_empty() => Ok(payload),
        _ => Err("a bzImage that ends before its payload does: is it whole?".to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A bzImage around a payload.
    pub(in crate::guest) fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 2 * SECTOR + 0x100];
        file[0x1f1] = 1;
        file[0x1fe..0x208].copy_from_slice(&[0x55, 0xaa, 0, 0, b'H', b'd', b'r', b'S', 0x0f, 2]);
        file[0x248..0x24c].copy_from_slice(&0x100u32.to_le_bytes());
        file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        file.extend(payload);
        file
    }

    #[test]
    fn the_payload_is_found() {
        let file = bzimage(b"compressed");
        assert!(is_one(&file));
        assert_eq!(payload(&file).unwrap(), b"compressed");
        assert!(!is_one(b"HdrS"));
    }

    #[test]
    fn what_is_cut_or_old_is_refused() {
        let whole = bzimage(b"compressed");
        assert!(payload(&whole[..whole.len() - 1]).unwrap_err().contains("is it whole"));
        let mut old = whole;
        old[0x206] = 7;
        assert!(payload(&old).unwrap_err().contains("boot protocol 2.07"));
    }
}
