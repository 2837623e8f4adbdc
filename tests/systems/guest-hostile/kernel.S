// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that attacks from EL1: thousands of rounds of random values in every register that is the
// guest's, calls, accesses to devices and to nothing, maintenance, returns to EL0, sleep. It avoids
// only what rightly ends a guest (fetching from nowhere, undescribed accesses, a sleep without end).
// What it leaves behind must not be seen by anybody else: the shim runs between two rounds, others in
// their windows. At the end it says so and switches off.
//
//   llvm-mc -triple aarch64 -filetype obj kernel.S -o kernel.o
//   llvm-objcopy -O binary kernel.o kernel.img
//
// x19 random state, x20 rounds left, x27 recovery, x28 vectors; all else is scratch.

    b       start
    nop
    .quad   0                       // text_offset
    .quad   0x10000                 // image_size
    .quad   0xa                     // flags: little-endian, 4 KiB, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

.macro RANDOM to
    eor     x19, x19, x19, lsl #13
    eor     x19, x19, x19, lsr #7
    eor     x19, x19, x19, lsl #17
    mov     \to, x19
.endm

.macro SET register
    RANDOM  x0
    msr     \register, x0
.endm

.macro ARM_TIMER
    mrs     x0, cntvct_el0
    add     x0, x0, #1000
    msr     cntv_cval_el0, x0
    mov     x0, #1
    msr     cntv_ctl_el0, x0
    isb
.endm

start:
    adr     x28, vectors
    msr     vbar_el1, x28
    adr     x27, next
    ldr     x19, =0x9e3779b97f4a7c15
    ldr     x20, =100000
    mov     x0, #1
    msr     s3_0_c12_c12_5, x0      // ICC_SRE_EL1
    isb

next:
    cbz     x20, done
    sub     x20, x20, #1
    RANDOM  x1
    lsr     x1, x1, #40
    and     x1, x1, #15
    adr     x2, table
    add     x2, x2, x1, lsl #2
    br      x2
table:
    b       controls
    b       translation
    b       traps
    b       timer
    b       identity
    b       interface
    b       calls
    b       firmware
    b       device_read
    b       device_write
    b       nothing
    b       maintenance
    b       debug
    b       sleep
    b       unmask
    b       user

controls:                           // everything but the MMU: EE and E0E, A, UMA, UCI, nTWI, …
    RANDOM  x0
    and     x0, x0, #~1
    msr     sctlr_el1, x0
    isb
    b       next

translation:
    SET     tcr_el1
    SET     ttbr0_el1
    SET     ttbr1_el1
    SET     mair_el1
    SET     amair_el1
    b       next

traps:
    SET     cpacr_el1
    SET     cntkctl_el1
    SET     csselr_el1
    SET     par_el1
    fmov    d0, x0
    fmov    d31, x0
    b       next

timer:
    SET     cntv_cval_el0
    SET     cntv_ctl_el0
    RANDOM  x0
    msr     cntp_ctl_el0, x0
    b       next

identity:
    SET     tpidr_el0
    SET     tpidrro_el0
    SET     tpidr_el1
    SET     contextidr_el1
    SET     sp_el0
    RANDOM  x0
    mov     sp, x0
    SET     far_el1
    SET     esr_el1
    SET     afsr0_el1
    SET     actlr_el1
    b       next

interface:                          // ICC: PMR BPR IGRPEN CTLR AP1R0 EOIR DIR SGI1R SGI0R ASGI1R
    SET     s3_0_c4_c6_0
    SET     s3_0_c12_c12_3
    SET     s3_0_c12_c12_7
    SET     s3_0_c12_c12_4
    SET     s3_0_c12_c9_0
    mrs     x0, s3_0_c12_c12_0
    SET     s3_0_c12_c12_1
    SET     s3_0_c12_c11_1
    SET     s3_0_c12_c11_5
    SET     s3_0_c12_c11_7
    SET     s3_0_c12_c11_6
    b       next

calls:                              // far from the numbers that switch something off
    RANDOM  x1
    RANDOM  x2
    RANDOM  x0
    orr     w0, w0, #0x00010000
    hvc     #0
    hvc     #0x1234
    b       next

firmware:
    RANDOM  x1
    RANDOM  x0
    orr     w0, w0, #0x00010000
    smc     #0
    b       next

device_read:
    RANDOM  x3
    and     x3, x3, #0x01ffffff
    orr     x3, x3, #0x08000000
    ldr     x0, [x3]
    ldrb    w0, [x3]
    ldrsh   x0, [x3]
    b       next

device_write:
    RANDOM  x3
    and     x3, x3, #0x01ffffff
    and     x3, x3, #~3
    orr     x3, x3, #0x08000000
    RANDOM  x0
    lsr     x4, x3, #12
    mov     x5, #0x9000
    cmp     x4, x5                  // not into the console: a log of rubbish proves nothing
    b.eq    next
    str     w0, [x3]
    strh    w0, [x3]
    b       next

nothing:
    RANDOM  x3
    and     x3, x3, #0x7fffffffff
    orr     x3, x3, #0x4000000000
    ldr     x0, [x3]
    str     x0, [x3]
    b       next

maintenance:
    RANDOM  x0
    dc      cisw, x0
    dc      isw, x0
    ic      iallu
    tlbi    vmalle1
    tlbi    alle1is
    at      s1e1r, x0
    at      s12e1r, x0
    dsb     sy
    b       next

debug:
    SET     mdscr_el1
    SET     osdlr_el1
    SET     oslar_el1
    SET     dbgbvr0_el1
    SET     dbgbcr0_el1
    SET     dbgwvr0_el1
    SET     dbgwcr0_el1
    SET     pmcr_el0
    SET     pmuserenr_el0
    SET     pmcntenset_el0
    brk     #0
    b       next

sleep:                              // with a timer that is sure to come
    ARM_TIMER
    wfi
    wfe
    yield
    b       next

unmask:
    msr     daifclr, #0xf
    mov     x0, #50
1:  subs    x0, x0, #1
    b.ne    1b
    msr     daifset, #0xf
    b       next

user:                               // any mode but AArch32's, most of them illegal
    ARM_TIMER
    RANDOM  x0
    and     x0, x0, #~0x10
    msr     spsr_el1, x0
    adr     x0, below
    msr     elr_el1, x0
    eret
below:
    mrs     x0, cntvct_el0
    dc      civac, x28
    wfi
    svc     #0
    b       below

done:
    ldr     x0, =0x30d00800
    msr     sctlr_el1, x0
    isb
    adr     x1, text
    mov     x2, #0x09000000
1:  ldrb    w0, [x1], #1
    cbz     w0, 2f
    str     w0, [x2]
    b       1b
2:  ldr     w0, =0x84000008         // PSCI SYSTEM_OFF
    hvc     #0
    b       2b
text:
    .asciz  "100000 rounds, and still here\n"

.ltorg

// Whatever it was: on with the next round. An interrupt is taken and ended first.
.balign 2048
vectors:
.rept 16
    mrs     x0, s3_0_c12_c12_0
    msr     s3_0_c12_c12_1, x0
    msr     vbar_el1, x28
    mov     x0, #0x3c5
    msr     spsr_el1, x0
    msr     elr_el1, x27
    eret
.balign 128
.endr
