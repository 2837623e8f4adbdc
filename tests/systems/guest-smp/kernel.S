// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that starts and stops its processors as fast as it can, mostly wrongly: processors that
// don't exist, entry points outside of its memory, those that run already; and sends interrupts to
// everybody meanwhile. The others count that they were started, send some too, and switch themselves
// off. At the end vCPU 0 says so, if each of them was started often, and switches the machine off.
//
//   llvm-mc -triple aarch64 -filetype obj kernel.S -o kernel.o
//   llvm-objcopy -O binary kernel.o kernel.img
//
// x19 random state, x20 rounds left, x21 counters; all else is scratch.

    b       start
    nop
    .quad   0                       // text_offset
    .quad   0x10000                 // image_size
    .quad   0xa                     // flags: little-endian, 4 KiB, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

.equ    CPU_OFF,        0x84000002
.equ    CPU_ON,         0xc4000003
.equ    AFFINITY_INFO,  0xc4000004
.equ    SYSTEM_OFF,     0x84000008
.equ    ROUNDS,         20000
.equ    OFTEN,          50

.macro RANDOM to
    eor     x19, x19, x19, lsl #13
    eor     x19, x19, x19, lsr #7
    eor     x19, x19, x19, lsl #17
    mov     \to, x19
.endm

// To some of the first four, one of which doesn't exist; or, now and then, of another cluster.
.macro SGI
    RANDOM  x0
    and     x5, x0, #0xf
    tst     x0, #0xf0
    cset    x0, eq
    orr     x5, x5, x0, lsl #16
    mov     x0, #5
    orr     x0, x5, x0, lsl #24
    msr     s3_0_c12_c11_5, x0
.endm

start:
    adr     x21, counters
    ldr     x19, =0x9e3779b97f4a7c15
    ldr     x20, =ROUNDS
    // The distributor, and all SGIs of three redistributors.
    mov     x1, #0x08000000
    mov     w0, #0x12
    str     w0, [x1]
    ldr     x1, =0x080b0000
    mov     x2, #3
1:  mov     w0, #-1
    str     w0, [x1, #0x80]
    str     w0, [x1, #0x100]
    add     x1, x1, #0x20000
    subs    x2, x2, #1
    b.ne    1b

next:
    cbz     x20, done
    sub     x20, x20, #1
    SGI
    RANDOM  x1
    and     x1, x1, #3              // 0 runs, 3 does not exist
    RANDOM  x2
    lsr     x2, x2, #33
    tst     x2, #7
    b.ne    1f
    RANDOM  x1                      // any affinity at all
1:  adr     x3, second
    tst     x2, #0x38
    b.ne    2f
    RANDOM  x3                      // any entry at all: hardly ever within
    orr     x3, x3, #1 << 40
2:  mov     x2, x3
    mov     x3, x1
    ldr     w0, =CPU_ON
    hvc     #0
    RANDOM  x1
    and     x1, x1, #7
    mov     x2, #0
    ldr     w0, =AFFINITY_INFO
    hvc     #0
    b       next

// x0: which one it is. Takes no interrupt: they pile up and stay.
second:
    adr     x21, counters
    mrs     x1, mpidr_el1
    and     x1, x1, #0xff
    cmp     x0, x1
    b.ne    wrong
    ldr     x2, [x21, x1, lsl #3]
    add     x2, x2, #1
    str     x2, [x21, x1, lsl #3]
    mrs     x19, cntvct_el0
    orr     x19, x19, #1
    RANDOM  x4
    and     x4, x4, #31
1:  SGI
    cbz     x4, 2f
    sub     x4, x4, #1
    b       1b
2:  ldr     w0, =CPU_OFF
    hvc     #0
wrong:
    mov     x1, #0                  // a fetch from nowhere ends the guest, and the test
    br      x1

done:
    ldr     x0, [x21, #8]
    ldr     x1, [x21, #16]
    cmp     x0, #OFTEN
    b.lo    wrong
    cmp     x1, #OFTEN
    b.lo    wrong
    adr     x1, text
    mov     x2, #0x09000000
1:  ldrb    w0, [x1], #1
    cbz     w0, 2f
    str     w0, [x2]
    b       1b
2:  ldr     w0, =SYSTEM_OFF
    hvc     #0
    b       2b
text:
    .asciz  "20000 rounds, and all of them still here\n"

.balign 8
counters:
    .quad   0, 0, 0, 0

.ltorg
