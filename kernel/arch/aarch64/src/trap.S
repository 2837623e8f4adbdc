// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Entry to and exit from the kernel (Arm ARM D1.3.1.5: the vector table).
//
//   below EL2   SP_EL2 = frame of the current context (host: context page; guest: vCPU page)
//   in EL2      SP_EL2 = stack of this core, whose top is its block (TPIDR_EL2)
//
// Frame: x0–x30 at 0, 8, … 240. What else belongs to a context stays in its registers.

.macro SAVE
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    str     x30, [sp, #240]
.endm

// A synchronous exception from below: a kernel call has the shortest way.
.macro SYNC
    .balign 128
    SAVE
    mrs     x9, esr_el2
    mrs     x5, tpidr_el2
    ubfx    x10, x9, #26, #6
    adr     x30, parzelle_leave
    mov     sp, x5
    cmp     x10, #{svc}
    b.ne    parzelle_other
    mov     x6, x8
    b       parzelle_on_call
.endm

// An interrupt or an SError from below.
.macro INTERRUPT handler
    .balign 128
    SAVE
    mrs     x0, tpidr_el2
    adr     x30, parzelle_leave
    mov     sp, x0
    b       \handler
.endm

// In the kernel itself, or a fast interrupt, of which there are none: the module ends.
.macro FATAL kind
    .balign 128
    mov     x3, x30
    mov     x2, sp
    mov     x1, x29
    mov     x0, #\kind
    b       parzelle_fatal
.endm

.section .text.vectors, "ax"
.balign 2048
.global parzelle_vectors
parzelle_vectors:
    // From EL2 with SP_EL0, which the kernel never uses.
    FATAL 0
    FATAL 1
    FATAL 2
    FATAL 3
    // From EL2.
    FATAL 4
    FATAL 5
    FATAL 6
    FATAL 7
    // From EL1 and EL0 in AArch64.
    SYNC
    INTERRUPT parzelle_on_interrupt
    FATAL 10
    INTERRUPT parzelle_on_hardware_error
    // From a guest's EL0 in AArch32.
    SYNC
    INTERRUPT parzelle_on_interrupt
    FATAL 14
    INTERRUPT parzelle_on_hardware_error

.balign 128
parzelle_other:
    mov     x0, x5
    mov     x1, x9
    b       parzelle_on_trap

// x0 = the frame to continue with.
.balign 64
.global parzelle_leave
parzelle_leave:
    mov     sp, x0
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x30, [sp, #240]
    ldp     x0, x1, [sp, #0]
    eret
    // Nothing behind an ERET may be executed speculatively.
    dsb     nsh
    isb

// The kernel's stack may be what is wrong: another one, for all cores together.
parzelle_fatal:
    adrp    x9, parzelle_fatal_stack_top
    add     x9, x9, #:lo12:parzelle_fatal_stack_top
    mov     sp, x9
    bl      parzelle_on_fatal
1:  wfi
    b       1b

// x0 = area: q0–q31, FPSR, FPCR.
.arch_extension fp
.arch_extension simd
.global parzelle_fp_save
parzelle_fp_save:
    stp     q0, q1, [x0, #0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q8, q9, [x0, #128]
    stp     q10, q11, [x0, #160]
    stp     q12, q13, [x0, #192]
    stp     q14, q15, [x0, #224]
    stp     q16, q17, [x0, #256]
    stp     q18, q19, [x0, #288]
    stp     q20, q21, [x0, #320]
    stp     q22, q23, [x0, #352]
    stp     q24, q25, [x0, #384]
    stp     q26, q27, [x0, #416]
    stp     q28, q29, [x0, #448]
    stp     q30, q31, [x0, #480]
    mrs     x1, fpsr
    mrs     x2, fpcr
    add     x0, x0, #512
    stp     x1, x2, [x0]
    ret

.global parzelle_fp_load
parzelle_fp_load:
    ldp     q0, q1, [x0, #0]
    ldp     q2, q3, [x0, #32]
    ldp     q4, q5, [x0, #64]
    ldp     q6, q7, [x0, #96]
    ldp     q8, q9, [x0, #128]
    ldp     q10, q11, [x0, #160]
    ldp     q12, q13, [x0, #192]
    ldp     q14, q15, [x0, #224]
    ldp     q16, q17, [x0, #256]
    ldp     q18, q19, [x0, #288]
    ldp     q20, q21, [x0, #320]
    ldp     q22, q23, [x0, #352]
    ldp     q24, q25, [x0, #384]
    ldp     q26, q27, [x0, #416]
    ldp     q28, q29, [x0, #448]
    ldp     q30, q31, [x0, #480]
    add     x0, x0, #512
    ldp     x1, x2, [x0]
    msr     fpsr, x1
    msr     fpcr, x2
    ret

.global parzelle_fp_clear
parzelle_fp_clear:
.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movi    v\n\().2d, #0
.endr
.irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    movi    v\n\().2d, #0
.endr
    msr     fpsr, xzr
    msr     fpcr, xzr
    ret

.section .bss.fatal_stack, "aw", %nobits
.balign 16
    .skip   4096
parzelle_fatal_stack_top:
