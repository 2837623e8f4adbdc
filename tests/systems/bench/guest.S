// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What paths cost that a guest sees, in ticks of the virtual counter, which under icount are
// instructions. Each figure is the least of many runs, without what reading the counter costs.
//
//   guest_exit_shim_resume   `hvc` with PSCI_VERSION: exit, shim, resume
//   guest_irq_inject         from the virtual timer's expiry to the guest's vector: kernel, shim, kernel
//   guest_switch             half of the least gap in which another partition ran: it waits, is woken
//                            by its deadline and waits again (`bench` does so for a while)
//
//   llvm-mc -triple aarch64 -filetype obj guest.S -o guest.o
//   llvm-objcopy -O binary guest.o guest.img
//
// x19 cost of the counter, x20–x22 the figures, x24 runs left, x25 the interrupt came, x26 its time.

    b       start
    nop
    .quad   0                       // text_offset
    .quad   0x10000                 // image_size
    .quad   0xa                     // flags: little-endian, 4 KiB, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

.macro LEAST into, value
    cmp     \into, \value
    csel    \into, \into, \value, lo
.endm

start:
    adr     x0, vectors
    msr     vbar_el1, x0
    mov     x0, #1
    msr     s3_0_c12_c12_5, x0      // ICC_SRE_EL1
    isb
    mov     x1, #0x08000000         // GICD_CTLR: affinity routing, group 1
    mov     w0, #0x12
    str     w0, [x1]
    ldr     x1, =0x080a0014         // GICR_WAKER
    str     wzr, [x1]
    ldr     x1, =0x080b0000         // the redistributor's SGI frame
    mov     w0, #-1
    str     w0, [x1, #0x80]         // GICR_IGROUPR0
    mov     w0, #0x80
    strb    w0, [x1, #0x41b]        // priority of 27, the virtual timer
    mov     w0, #0x08000000
    str     w0, [x1, #0x100]        // GICR_ISENABLER0
    mov     x0, #0xf0
    msr     s3_0_c4_c6_0, x0        // ICC_PMR_EL1
    mov     x0, #1
    msr     s3_0_c12_c12_7, x0      // ICC_IGRPEN1_EL1
    isb

    mov     x19, #-1
    mov     x24, #16
1:  mrs     x10, cntvct_el0
    mrs     x11, cntvct_el0
    sub     x11, x11, x10
    LEAST   x19, x11
    subs    x24, x24, #1
    b.ne    1b

    mov     x20, #-1
    mov     x24, #1000
1:  ldr     w0, =0x84000000         // PSCI_VERSION
    mrs     x10, cntvct_el0
    hvc     #0
    mrs     x11, cntvct_el0
    sub     x11, x11, x10
    LEAST   x20, x11
    subs    x24, x24, #1
    b.ne    1b

    mov     x21, #-1
    mov     x24, #200
1:  mov     x25, #0
    mrs     x13, cntvct_el0
    add     x13, x13, #4000
    msr     cntv_cval_el0, x13
    mov     x0, #1
    msr     cntv_ctl_el0, x0
    isb
    msr     daifclr, #2
2:  cbz     x25, 2b
    msr     daifset, #2
    sub     x11, x26, x13
    LEAST   x21, x11
    subs    x24, x24, #1
    b.ne    1b

    mov     x22, #-1
    mov     x24, #2000
    mrs     x10, cntvct_el0
1:  mrs     x11, cntvct_el0
    sub     x12, x11, x10
    mov     x10, x11
    cmp     x12, #100
    b.lo    1b
    LEAST   x22, x12
    subs    x24, x24, #1
    b.ne    1b
    lsr     x22, x22, #1

    mov     x2, #0x09000000
    adr     x1, name_exit
    sub     x3, x20, x19
    bl      print
    adr     x1, name_inject
    sub     x3, x21, x19
    bl      print
    adr     x1, name_switch
    mov     x3, x22
    bl      print
1:  ldr     w0, =0x84000008         // PSCI SYSTEM_OFF
    hvc     #0
    b       1b

// Prints the text at x1, the number in x3 and the rest of the line.
print:
    ldrb    w0, [x1], #1
    cbz     w0, 1f
    str     w0, [x2]
    b       print
1:  mov     x4, #10
    mov     x5, #1
2:  mul     x6, x5, x4              // the highest power of ten that is not above the number
    cmp     x6, x3
    b.hi    3f
    mov     x5, x6
    b       2b
3:  udiv    x6, x3, x5
    msub    x3, x6, x5, x3
    add     w6, w6, #'0'
    str     w6, [x2]
    udiv    x5, x5, x4
    cbnz    x5, 3b
    mov     w0, #'}'
    str     w0, [x2]
    mov     w0, #'\n'
    str     w0, [x2]
    ret

name_exit:
    .asciz  "##{\"bench\":\"guest_exit_shim_resume\",\"instructions\":"
name_inject:
    .asciz  "##{\"bench\":\"guest_irq_inject\",\"instructions\":"
name_switch:
    .asciz  "##{\"bench\":\"guest_switch\",\"instructions\":"

.balign 8
.ltorg

.balign 2048
vectors:
.rept 16
    mrs     x26, cntvct_el0
    msr     cntv_ctl_el0, xzr
    isb
    mrs     x0, s3_0_c12_c12_0      // ICC_IAR1_EL1
    msr     s3_0_c12_c12_1, x0      // ICC_EOIR1_EL1
    mov     x25, #1
    eret
.balign 128
.endr
