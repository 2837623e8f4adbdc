// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that measures, in ticks of the virtual counter: one per instruction when QEMU counts them
// and the counter runs at 1 GHz.
//
//   guest_exit_shim_resume   a firmware call that the shim answers (PSCI_VERSION), and back
//   guest_irq_inject         from the virtual timer's expiry to the guest's interrupt vector
//   guest_switch             from a window's start to this guest, when another guest ran before
//
//   llvm-mc -triple aarch64 -filetype obj kernel.S -o kernel.o
//   llvm-objcopy -O binary kernel.o kernel.img
//
// x19 best so far, x20 repetitions, x21 UART, x29 link of the outer routine.

// From the end of this guest's window to the start of its next, by system.toml: 10 ms - 500 us.
.equ    PAUSE, 9500000

    b       start
    nop
    .quad   0                       // text_offset
    .quad   0x10000                 // image_size
    .quad   0xa                     // flags: little-endian, 4 KiB, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

start:
    adr     x0, stack
    mov     sp, x0
    adr     x0, vectors
    msr     vbar_el1, x0
    mov     x21, #0x09000000
    // The interrupt controller: distributor and redistributor on, the timer's interrupt enabled.
    mov     x1, #0x08000000
    mov     w0, #0x12
    str     w0, [x1]
    ldr     x1, =0x080a0000
    str     wzr, [x1, #0x14]
    ldr     x1, =0x080b0000
    mov     w0, #-1
    str     w0, [x1, #0x80]
    mov     w0, #1 << 27
    str     w0, [x1, #0x100]
    mov     x0, #1
    msr     s3_0_c12_c12_5, x0      // ICC_SRE_EL1
    isb
    mov     x0, #0xf0
    msr     s3_0_c4_c6_0, x0        // ICC_PMR_EL1
    mov     x0, #1
    msr     s3_0_c12_c12_7, x0      // ICC_IGRPEN1_EL1
    isb

    // A call. Between the two readings lie the first of them and the call itself.
    mov     x19, #-1
    mov     x20, #100
1:  mov     w0, #0x84000000
    mrs     x9, cntvct_el0
    hvc     #0
    mrs     x10, cntvct_el0
    sub     x10, x10, x9
    sub     x10, x10, #2
    bl      least
    b.ne    1b
    adr     x0, exit_name
    bl      report

    // An interrupt.
    mov     x19, #-1
    mov     x20, #100
2:  mrs     x9, cntvct_el0
    add     x9, x9, #2000
    msr     cntv_cval_el0, x9
    mov     x0, #1
    msr     cntv_ctl_el0, x0
    isb
    msr     daifclr, #2
    adr     x11, 3f
4:  b       4b
3:  msr     daifset, #2
    sub     x10, x10, x9
    bl      least
    b.ne    2b
    adr     x0, interrupt_name
    bl      report

    // A window's start: the gap between two readings, less the pause by plan.
    mov     x19, #-1
    mov     x20, #20
    ldr     x11, =PAUSE
    mrs     x9, cntvct_el0
5:  mrs     x10, cntvct_el0
    sub     x12, x10, x9
    mov     x9, x10
    subs    x10, x12, x11
    b.lo    5b
    bl      least
    mrs     x9, cntvct_el0
    b.ne    5b
    adr     x0, switch_name
    bl      report

    ldr     w0, =0x84000008         // PSCI SYSTEM_OFF
    hvc     #0
    b       .

// Keeps the least of x10 in x19 and counts x20 down; the flags tell whether that was the last.
least:
    cmp     x10, x19
    csel    x19, x10, x19, lo
    subs    x20, x20, #1
    ret

// Prints a figure: x0 = its name, x19 = its value.
report:
    mov     x29, x30
    mov     x5, x0
    adr     x0, before
    bl      print
    mov     x0, x5
    bl      print
    adr     x0, between
    bl      print
    mov     x0, sp
    strb    wzr, [x0, #-1]!
    mov     x1, #10
6:  udiv    x2, x19, x1
    msub    x3, x2, x1, x19
    add     w3, w3, #'0'
    strb    w3, [x0, #-1]!
    mov     x19, x2
    cbnz    x19, 6b
    bl      print
    adr     x0, after
    bl      print
    ret     x29

print:
    ldrb    w1, [x0], #1
    cbz     w1, 7f
    str     w1, [x21]
    b       print
7:  ret

before:         .asciz "##{\"bench\":\""
between:        .asciz "\",\"instructions\":"
after:          .asciz "}\n"
exit_name:      .asciz "guest_exit_shim_resume"
interrupt_name: .asciz "guest_irq_inject"
switch_name:    .asciz "guest_switch"

.balign 4
.ltorg
.balign 16
.skip   256
stack:

// The timer's interrupt, wherever it is taken: on at x11, with the time in x10.
.balign 2048
vectors:
.rept 16
    mrs     x10, cntvct_el0
    mov     x0, #0
    msr     cntv_ctl_el0, x0
    mrs     x0, s3_0_c12_c12_0      // ICC_IAR1_EL1
    msr     s3_0_c12_c12_1, x0      // ICC_EOIR1_EL1
    msr     elr_el1, x11
    eret
.balign 128
.endr
