// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Images of a dozen instructions that print a text and end in a chosen way, assembled by hand.

/// What an image does after it has printed its text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// Switches the board off.
    Off,
    /// Reports a failure (x86-64).
    Fail,
    /// Runs into a fault that nobody handles (x86-64).
    Fault,
    /// Loops for ever (aarch64).
    Hang,
    /// Waits for a byte on the serial line, prints it, switches off (aarch64).
    Echo,
}

/// An arm64 `Image` (Linux, Documentation/arch/arm64/booting.rst) for QEMU's `virt`: EL2, MMU off.
pub(crate) fn aarch64(text: &str, last: Last) -> Vec<u8> {
    let mut code: Vec<u32> = vec![
        0,           // adr x1, text: filled in below
        0xd2a1_2000, // movz x0, #0x900, lsl #16: the PL011
        0x3840_1422, // 1: ldrb w2, [x1], #1
        0x3400_0062, // cbz w2, 2f
        0x3900_0002, // strb w2, [x0]
        0x17ff_fffd, // b 1b
    ];
    if last == Last::Echo {
        code.extend([
            0xb940_1802, // 2: ldr w2, [x0, #0x18]: UARTFR
            0x3727_ffe2, // tbnz w2, #4, 2b: nothing received
            0x3940_0002, // ldrb w2, [x0]
            0x3900_0002, // strb w2, [x0]
        ]);
    }
    if last != Last::Hang {
        code.extend([
            0x52b0_8000, // 2: movz w0, #0x8400, lsl #16
            0x7280_0100, // movk w0, #8: PSCI SYSTEM_OFF
            0xd400_0003, // smc #0
        ]);
    }
    code.push(0x1400_0000); // b .
    let length = code.len() as u32 * 4;
    code[0] = 0x1000_0001 | (length / 4) << 5;

    let mut image = Vec::new();
    image.extend(0x1400_0010_u32.to_le_bytes()); // b 0x40
    image.extend([0; 4]);
    image.extend(0_u64.to_le_bytes()); // text_offset
    image.extend(0x1000_u64.to_le_bytes()); // image_size
    image.extend(0_u64.to_le_bytes()); // flags
    image.extend([0; 24]);
    image.extend(b"ARM\x64");
    image.extend([0; 4]);
    image.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    image.extend(text.bytes());
    image.push(0);
    image
}

/// A 32-bit ELF with the PVH note, entered in protected mode without paging.
pub(crate) fn x86_64(text: &str, last: Last) -> Vec<u8> {
    /// Where the file is loaded, headers and all.
    const BASE: u32 = 0x10_0000;
    /// Behind the ELF header and two program headers of 32 bytes each.
    const NOTE: u32 = 52 + 2 * 32;
    /// Name, description and the three words before them.
    const NOTE_SIZE: u32 = 12 + 4 + 4;
    const ENTRY: u32 = BASE + NOTE + NOTE_SIZE;
    let end: &[u8] = match last {
        Last::Fail => &[0xb0, 0x11, 0xe6, 0xf4], // mov al, 0x11; out 0xf4, al
        Last::Fault => &[0x0f, 0x0b],            // ud2, and no table to handle it
        _ => &[0xb0, 0x10, 0xe6, 0xf4],
    };
    let mut code = vec![
        0xbe, 0, 0, 0, 0, // mov esi, text: filled in below
        0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xac, // 1: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x03, // jz 2f
        0xee, // out dx, al
        0xeb, 0xf8, // jmp 1b
    ];
    code.extend(end); // 2:
    code.extend([0xf4, 0xeb, 0xfe]); // hlt; jmp .
    let address = ENTRY + code.len() as u32;
    code[1..5].copy_from_slice(&address.to_le_bytes());
    code.extend(text.bytes());
    code.push(0);

    let size = NOTE + NOTE_SIZE + code.len() as u32;
    let mut image = b"\x7fELF\x01\x01\x01".to_vec();
    image.resize(16, 0);
    image.extend([2, 0, 3, 0]); // an executable for the 386
    let words = [1, ENTRY, 52, 0, 0]; // version, entry, program headers, no sections, flags
    image.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    let halves = [52_u16, 32, 2, 0, 0, 0];
    image.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    let load = [1, 0, BASE, BASE, size, size, 7, 0x1000];
    let note = [4, NOTE, BASE + NOTE, BASE + NOTE, NOTE_SIZE, NOTE_SIZE, 4, 4];
    // XEN_ELFNOTE_PHYS32_ENTRY is 18.
    let words = [4, 4, 18, u32::from_le_bytes(*b"Xen\0"), ENTRY];
    let all = load.iter().chain(&note).chain(&words);
    image.extend(all.flat_map(|word| word.to_le_bytes()));
    image.extend(code);
    image
}
