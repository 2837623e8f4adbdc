# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# Entry and exit. Offsets are those of `Context` (context.rs) and `PerCore` (percore.rs).
#
#   syscall ────────► parzelle_entry_call ──► parzelle_call ──┐
#   interrupt, fault ► stub ─► entry_trap ──► parzelle_trap ──┼─► parzelle_leave: rax = context
#   NMI #MC #DB #DF ─► stub ─► entry_any ──► entry_save (#DB and NMI below the kernel), or the end
#
#   syscall or exception of foreign code ───► …_reflect_…, in guest/foreign.S
#   syscall of the shim, rax < 0 ───────────► …_resume, there as well
#
# Whether to swap GS depends on where an entry came from; an lfence on both ways keeps the processor
# from going on by guess with the wrong one (CVE-2019-1125).

.section .text.trap, "ax"
.global parzelle_entry_own, parzelle_save_call, parzelle_iret, parzelle_entry_user, parzelle_entry_end

# The general registers, so that they lie as in `Context`.
.macro push_registers
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
    push \register
    .endr
.endm

# The registers that a call keeps, but for the stack pointer: by `do` (save, load), each with its
# place in `Context`.
.macro kept do
    .irp place, "1, rbx", "3, rdx", "4, rsi", "5, rdi", "6, rbp", "7, r8", "8, r9", "9, r10", "11, r12", "12, r13", "13, r14", "14, r15"
    \do \place
    .endr
.endm
.macro save place, register
    mov [rsp + 8 * \place - {SAVED}], \register
.endm
.macro load place, register
    mov \register, [rsp + 8 * \place]
.endm

# --- Calls -----------------------------------------------------------------------------------
# rcx = user rip, r11 = user flags, GS = the user's, rsp = the user's. Interrupts are masked. The
# processor has pushed nothing; SAVE is where it would have begun.
.balign 64
.global parzelle_entry_call
parzelle_entry_call:
    swapgs
    mov gs:[{USER_SP}], rsp
    mov rsp, gs:[{SAVE}]
    cmp rcx, [rsp + {OWN_END} - {SAVED}]
    jge parzelle_reflect_call
    mov [rsp + {RIP} - {SAVED}], rcx
    test rax, rax
    js parzelle_resume
parzelle_save_call:
    mov [rsp + {RFLAGS} - {SAVED}], r11
    mov rcx, gs:[{USER_SP}]
    mov [rsp + {RSP} - {SAVED}], rcx
    mov dword ptr [rsp + {VECTOR} - {SAVED}], {SYSCALL}
    kept save
    mov rdi, gs:[{CORE}]
    mov rsi, rax
    mov rsp, gs:[{STACK_TOP}]
    call parzelle_call

# --- Return: rax = context ---------------------------------------------------------------------
# From Rust it is jumped to for the first entry of a core; GS is the core's block.
.global parzelle_leave
parzelle_leave:
    mov rsp, rax
    cmp dword ptr [rsp + {VECTOR}], {SYSCALL}
    jne leave_full
    # By sysret, which must not see an address that isn't canonical, and can't (`Context::rip`).
    mov rcx, [rsp + {RIP}]
    mov r11, [rsp + {RFLAGS}]
    kept load
    mov rax, [rsp]
    mov rsp, [rsp + {RSP}]
    swapgs
    sysretq

leave_full:
    ja idle
    .irp register, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    pop \register
    .endr
    add rsp, 16
    swapgs
parzelle_iret:
    iretq

# Nothing to do until an interrupt comes. sti takes effect after hlt has begun: none is lost.
idle:
    mov rsp, gs:[{STACK_TOP}]
    sti
    hlt
    jmp idle

# --- Interrupts and exceptions ---------------------------------------------------------------
# On the stack: vector, error, rip, cs, rflags, rsp, ss. From user mode it is the context page.
.balign 64
entry_trap:
    test byte ptr [rsp + 24], 3
    jz entry_kernel
    swapgs
    lfence
parzelle_entry_user:
    cmp qword ptr [rsp], {EXCEPTIONS}
    jae entry_save
    push rax
    mov rax, [rsp + 8 + {RIP} - {VECTOR}]
    cmp rax, [rsp + 8 + {OWN_END} - {VECTOR}]
    jge parzelle_reflect_trap
parzelle_entry_own:
    pop rax
entry_save:
    push_registers
    cld
    mov rsi, [rsp + {VECTOR}]
enter_trap:
    mov rdi, gs:[{CORE}]
    mov rsp, gs:[{STACK_TOP}]
    call parzelle_trap
    jmp parzelle_leave

# An interrupt of the idle loop: nothing to save. An exception: the kernel is wrong.
entry_kernel:
    lfence
    cmp qword ptr [rsp], {EXCEPTIONS}
    jb parzelle_entry_fault
    mov rsi, [rsp]
    jmp enter_trap

# On a stack of its own.
entry_any:
    test byte ptr [rsp + 24], 3
    jz parzelle_entry_end
    # A partition's #DB, whose number is below NMI's, goes the way of its other faults: over to the
    # context page. So does an NMI that comes while a partition runs; the next iret, whosever it is,
    # lets NMIs in again.
    cmp qword ptr [rsp], {NMI}
    ja parzelle_entry_end
    swapgs
    lfence
    push rax
    push rcx
    mov rax, gs:[{SAVE}]
    sub rax, {SAVED} - {VECTOR}
    .irp word, 0, 1, 2, 3, 4, 5, 6
    mov rcx, [rsp + 16 + \word * 8]
    mov [rax + \word * 8], rcx
    .endr
    pop rcx
    cmp qword ptr [rax], {NMI}
    xchg rax, [rsp]
    pop rsp
    je entry_save
    jmp parzelle_entry_user

# The kernel's last words: all registers go on the stack, wherever that is.
parzelle_entry_end:
    lfence
    push_registers
    mov rdi, rsp
    and rsp, -16
    cld
    call parzelle_end
    ud2

# --- Stubs: one for each vector, 16 bytes apart ----------------------------------------------
.balign 16
.global parzelle_stubs
parzelle_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !((vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30))
    push 0
    .endif
    # push vector
    .byte 0x68
    .long vector
    .if (vector == 1) || (vector == 2) || (vector == 8) || (vector == 18)
    jmp entry_any
    .else
    jmp entry_trap
    .endif
    .set vector, vector + 1
    .endr
