// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Entry to and exit from the kernel (Arm ARM D1.3.1.5: the vector table).
//
//   below EL2   SP_EL2 = frame of the current context (host: context page; guest: vCPU page)
//   in EL2      SP_EL2 = stack of this core, whose top is its block (TPIDR_EL2)
//
// Frame: x0–x30 at 0, 8, … 240. What else belongs to a context stays in its registers.

// Moves registers \from … \to by pairs: \operation is stp or ldp, \kind and \bytes the registers'
// letter and size, \base where register 0 lies.
.altmacro
.macro PAIRS operation, kind, bytes, base, from, to
    PAIR    \operation, \kind, \bytes, \base, \from, %(\from + 1)
    .if \from + 2 < \to
    PAIRS   \operation, \kind, \bytes, \base, %(\from + 2), \to
    .endif
.endm
.macro PAIR operation, kind, bytes, base, first, second
    \operation \kind\first, \kind\second, [\base, #(\first * \bytes)]
.endm

.macro SAVE
    PAIRS   stp, x, 8, sp, 0, 29
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
    // From EL2: 0 to 3 with SP_EL0, which the kernel never uses.
    .irp kind, 0, 1, 2, 3, 4, 5, 6
    FATAL   \kind
    .endr
    // An SError in EL2, where they are masked but for `registers::idle`, which wants the syndrome.
    .balign 128
    mrs     x0, esr_el2
    eret
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
    PAIRS   ldp, x, 8, sp, 2, 29
    ldr     x30, [sp, #240]
    ldp     x0, x1, [sp, #0]
    eret
    // Nothing behind an ERET may be executed speculatively.
    dsb     nsh
    isb

// The kernel's stack may be what is wrong: another one, for all cores together.
parzelle_fatal:
    ldr     x9, =parzelle_fatal_stack_top
    mov     sp, x9
    b       parzelle_on_fatal

// x0 = area: q0–q31, FPSR, FPCR.
.arch_extension fp
.arch_extension simd
.global parzelle_fp_save
parzelle_fp_save:
    PAIRS   stp, q, 16, x0, 0, 31
    mrs     x1, fpsr
    mrs     x2, fpcr
    add     x0, x0, #512
    stp     x1, x2, [x0]
    ret

.global parzelle_fp_load
parzelle_fp_load:
    PAIRS   ldp, q, 16, x0, 0, 31
    add     x0, x0, #512
    ldp     x1, x2, [x0]
    msr     fpsr, x1
    msr     fpcr, x2
    ret

.section .bss.fatal_stack, "aw", %nobits
.balign 16
    .skip   4096
parzelle_fatal_stack_top:
