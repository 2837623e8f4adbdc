// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// From the boot loader to Rust. The image begins with the header of Linux's boot protocol
// (Documentation/arch/arm64/booting.rst): MMU and caches are off, x0 = device tree.
//
// The MMU comes on at once, with a table of 1 GiB blocks: device memory in the first, RAM where
// the kernel lies. Boot adds what else it looks at, and later replaces the table.

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

.section .text.boot, "ax"
parzelle_entry:
    mov     x19, x0
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    adr     x0, parzelle_wrong_level
    b.ne    parzelle_early_refusal
    mrs     x1, hcr_el2
    tst     x1, #(1 << 34)
    adr     x0, parzelle_wrong_host
    b.ne    parzelle_early_refusal
    adr     x1, _start
    ldr     x2, =_start
    cmp     x1, x2
    adr     x0, parzelle_wrong_place
    b.ne    parzelle_early_refusal
    msr     daifset, #0xf
    msr     spsel, #1

    // The early table: written without caches, so stale lines must go first and afterwards.
    ldr     x1, =parzelle_early_table
    dc      ivac, x1
    add     x3, x1, x2, lsr #27     // entry = GiB of the image × 8
    and     x3, x3, #~7
    dc      ivac, x3
    dsb     sy
    ldr     x4, ={device}
    str     x4, [x1]
    ldr     x4, ={normal}
    lsr     x5, x2, #30
    orr     x4, x4, x5, lsl #30
    str     x4, [x3]
    dsb     sy
    dc      ivac, x1
    dc      ivac, x3
    dsb     sy

    mov     x0, x1
    bl      parzelle_mmu_on
    ldr     x2, =parzelle_blocks + {stack_top}
    mov     sp, x2
    mov     x0, x19
    msr     tpidr_el2, x2
    b       parzelle_boot

// A secondary core: x0 = its `Ticket`: TTBR0_EL2, stack, number (cores.rs).
.global parzelle_secondary
parzelle_secondary:
    msr     daifset, #0xf
    msr     spsel, #1
    mov     x19, x0
    ldr     x0, [x19]
    bl      parzelle_mmu_on
    ldr     x1, [x19, #8]
    mov     sp, x1
    msr     tpidr_el2, x1
    ldr     x0, [x19, #16]
    b       parzelle_secondary_boot

// Turns the MMU on with the table at x0. Uses x1, x2.
parzelle_mmu_on:
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
    ret

// Continues on a core's own stack: x0 = its block, x1 = the epoch.
.global parzelle_run
parzelle_run:
    mov     sp, x0
    msr     tpidr_el2, x0
    bl      parzelle_begin
    b       parzelle_leave

// Prints the text at x0 on the board's console, then stops. Runs anywhere, with nothing on.
parzelle_early_refusal:
    mov     x20, x1
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

parzelle_wrong_level:
    .asciz  "parzelle: refused: the kernel was not entered at EL2 (QEMU: -machine virt,virtualization=on)\r\n"
parzelle_wrong_host:
    .asciz  "parzelle: refused: HCR_EL2.E2H is set; this kernel needs a processor where it can be clear\r\n"
parzelle_wrong_place:
    .asciz  "parzelle: refused: the image was not loaded where it was linked for\r\n"
.balign 8

.section .bss.early_table, "aw", %nobits
.balign 4096
.global parzelle_early_table
parzelle_early_table:
    .skip   4096
