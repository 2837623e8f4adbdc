// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// From the boot loader to Rust. The image begins with the header of Linux's boot protocol
// (Documentation/arch/arm64/booting.rst): MMU and caches are off, x0 = device tree.
//
// The MMU comes on at once, with the board's table of 1 GiB blocks (`EarlyTable`): it is part of the
// image, so caches and memory agree about it. Boot adds what else it looks at, and later replaces it.

.section .head, "ax"
.global _start
_start:
    b       parzelle_entry
    .long   0
    .quad   0                       // text_offset
    .quad   __image_end - _start    // image_size: the tool adds plan and payload
    .quad   {flags}
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0

// Goes on if the flags say "equal"; else prints why not, and stops.
.macro EXPECT_EQUAL reason
    b.eq    8f
    adr     x0, 7f
    b       parzelle_early_refusal
7:  .asciz  "parzelle: refused: \reason\r\n"
    .balign 4
8:
.endm

.section .text.boot, "ax"
parzelle_entry:
    mov     x19, x0
    mrs     x20, CurrentEL
    cmp     x20, #(2 << 2)
    EXPECT_EQUAL "the kernel was not entered at EL2 (QEMU: -machine virt,virtualization=on)"
    mrs     x1, hcr_el2
    tst     x1, #(1 << 34)
    EXPECT_EQUAL "HCR_EL2.E2H is set; this kernel needs a processor where it can be clear"
    adr     x1, _start
    ldr     x2, =_start
    cmp     x1, x2
    EXPECT_EQUAL "the image was not loaded where it was linked for"
    ldr     x0, =parzelle_early_table
    ldr     x1, =parzelle_blocks + {stack_top}
    ldr     x30, =parzelle_boot
    b       parzelle_mmu_on

// A secondary core: x0 = its `Core`, which is the top of its stack.
.global parzelle_secondary
parzelle_secondary:
    mov     x19, x0
    mov     x1, x0
    ldr     x0, =parzelle_ttbr
    ldr     x0, [x0]
    ldr     x30, =parzelle_secondary_boot

// Turns the MMU on with the table at x0, and goes on at x30, on the stack at x1, with x19 as the
// first argument.
parzelle_mmu_on:
    msr     daifset, #0xf
    msr     spsel, #1
    mov     sp, x1
    ldr     x1, =parzelle_vectors
    msr     vbar_el2, x1
    ldr     x1, ={mair}
    msr     mair_el2, x1
    // 39 bits from level 1, walks write-back and inner shareable, output as large as the core can.
    ldr     x1, ={tcr}
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #0xf
    cmp     x2, #5
    mov     x3, #5
    csel    x2, x2, x3, lo
    bfi     x1, x2, #16, #3
    msr     tcr_el2, x1
    msr     ttbr0_el2, x0
    dsb     sy
    tlbi    alle2
    tlbi    alle1
    ic      iallu
    dsb     sy
    isb
    ldr     x1, ={sctlr}
    msr     sctlr_el2, x1
    isb
    mov     x0, x19
    ret

// Continues on a core's own stack: x0 = its block, x1 = the epoch.
.global parzelle_run
parzelle_run:
    mov     sp, x0
    msr     tpidr_el2, x0
    bl      parzelle_begin
    b       parzelle_leave

// Prints the text at x0 on the board's console, then stops. x20 = CurrentEL. Runs anywhere, with nothing on.
parzelle_early_refusal:
    ldr     x1, =__console
1:  ldrb    w2, [x0], #1
    cbz     w2, 2f
    str     w2, [x1]
    b       1b
2:  cmp     x20, #(1 << 2)
    b.ne    3f
    // At EL1 there is somebody above who may switch us off.
    ldr     w0, =0x84000008
    hvc     #0
3:  wfe
    b       3b
