# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# Entry and exit. Offsets are those of `Context` (context.rs) and `PerCore` (percore.rs).
#
#   syscall ────────► parzelle_entry_call ──► parzelle_call ──┐
#   interrupt, fault ► stub ─► entry_trap ──► parzelle_trap ──┼─► leave: rax = context, or 0 = idle
#   NMI #MC #DB #DF ─► stub ─► entry_any ──► entry_save (#DB and NMI below the kernel), or the end
#
# Whether to swap GS depends on where an entry came from; an lfence on both ways keeps the processor
# from going on by guess with the wrong one (CVE-2019-1125).

.section .text.trap, "ax"

# The general registers, in the order of `Context`.
.macro push_registers
    .irp register, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    push \register
    .endr
.endm

# --- Calls -----------------------------------------------------------------------------------
# rcx = user rip, r11 = user flags, GS = the user's, rsp = the user's. Interrupts are masked.
.balign 64
.global parzelle_entry_call
parzelle_entry_call:
    swapgs
    mov gs:[{USER_SP}], rsp
    mov rsp, gs:[{FRAME}]
    mov [rsp + {RIP}], rcx
    mov [rsp + {RFLAGS}], r11
    mov rcx, gs:[{USER_SP}]
    mov [rsp + {RSP}], rcx
    mov dword ptr [rsp + {VECTOR}], {SYSCALL}
    mov [rsp + {R15}], r15
    mov [rsp + {R14}], r14
    mov [rsp + {R13}], r13
    mov [rsp + {R12}], r12
    mov [rsp + {R10}], r10
    mov [rsp + {R9}], r9
    mov [rsp + {R8}], r8
    mov [rsp + {RBP}], rbp
    mov [rsp + {RDI}], rdi
    mov [rsp + {RSI}], rsi
    mov [rsp + {RDX}], rdx
    mov [rsp + {RBX}], rbx
    mov rdi, gs:[{CORE}]
    mov rsi, rax
    mov rsp, gs:[{STACK_TOP}]
    call parzelle_call

# --- Return ----------------------------------------------------------------------------------
leave:
    test rax, rax
    jz idle
    mov rsp, rax
    cmp dword ptr [rsp + {VECTOR}], {SYSCALL}
    jne leave_full
    # By sysret, which must not see an address that isn't canonical.
    mov rcx, [rsp + {RIP}]
    mov rax, rcx
    shr rax, 47
    jnz leave_full
    mov r11, [rsp + {RFLAGS}]
    mov r15, [rsp + {R15}]
    mov r14, [rsp + {R14}]
    mov r13, [rsp + {R13}]
    mov r12, [rsp + {R12}]
    mov r10, [rsp + {R10}]
    mov r9, [rsp + {R9}]
    mov r8, [rsp + {R8}]
    mov rbp, [rsp + {RBP}]
    mov rdi, [rsp + {RDI}]
    mov rsi, [rsp + {RSI}]
    mov rdx, [rsp + {RDX}]
    mov rbx, [rsp + {RBX}]
    mov rax, [rsp + {RAX}]
    mov rsp, [rsp + {RSP}]
    swapgs
    sysretq

leave_full:
    # An address that isn't canonical (a call from the last bytes of the lower half) would make
    # iret fault here: the partition is sent where nothing is mapped.
    mov rcx, [rsp + {RIP}]
    shr rcx, 47
    jnz leave_nowhere
leave_pops:
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    swapgs
    iretq
leave_nowhere:
    mov rcx, 1
    shl rcx, 46
    mov [rsp + {RIP}], rcx
    jmp leave_pops

# Nothing to do until an interrupt comes. sti takes effect after hlt has begun: none is lost.
idle:
    mov rsp, gs:[{STACK_TOP}]
    sti
    hlt
    jmp idle

# The first entry of a core, from Rust: rdi = context or 0. GS is the core's block.
.global parzelle_leave
parzelle_leave:
    mov rax, rdi
    jmp leave

# --- Interrupts and exceptions ---------------------------------------------------------------
# On the stack: vector, error, rip, cs, rflags, rsp, ss. From user mode it is the context page.
.balign 64
entry_trap:
    test byte ptr [rsp + 24], 3
    jz entry_kernel
    swapgs
    lfence
entry_save:
    push_registers
    cld
    mov rdi, gs:[{CORE}]
    mov rsi, [rsp + {VECTOR}]
    mov rsp, gs:[{STACK_TOP}]
    call parzelle_trap
    jmp leave

# An interrupt of the idle loop: nothing to save. An exception: the kernel is wrong.
entry_kernel:
    lfence
    cmp qword ptr [rsp], {EXCEPTIONS}
    jb entry_end
    mov rdi, gs:[{CORE}]
    mov rsi, [rsp]
    mov rsp, gs:[{STACK_TOP}]
    call parzelle_trap
    jmp leave

# On a stack of its own, above ss: the block's address.
entry_any:
    test byte ptr [rsp + 24], 3
    jz entry_end
    cmp qword ptr [rsp], {DB}
    je entry_copy
    cmp qword ptr [rsp], {NMI}
    jne entry_end
    # A partition's #DB goes the way of its other faults: over to the context page. So does an NMI
    # that comes while a partition runs; the next iret, whosever it is, lets NMIs in again.
entry_copy:
    swapgs
    lfence
    push rax
    push rcx
    mov rax, gs:[{FRAME}]
    .irp word, 0, 1, 2, 3, 4, 5, 6
    mov rcx, [rsp + 16 + \word * 8]
    mov [rax + {VECTOR} + \word * 8], rcx
    .endr
    lea rcx, [rax + {VECTOR}]
    mov rax, [rsp + 8]
    push rcx
    mov rcx, [rsp + 8]
    pop rsp
    jmp entry_save

# The kernel's last words: all registers go on the stack, wherever that is.
entry_end:
    lfence
    push_registers
    mov rdi, rsp
    and rsp, -16
    cld
    call parzelle_end
    ud2

# A 32-bit syscall (AMD only): back at once, with an error; nothing was touched. sysretl would
# load the missing 32-bit segment; so the caller is made to fault by a 64-bit return to nowhere.
.balign 16
.global parzelle_entry_compat
parzelle_entry_compat:
    mov ecx, 1
    shl rcx, 46
    sysretq

# --- Stubs: one for each vector, 16 bytes apart ----------------------------------------------
.balign 16
.global parzelle_stubs
parzelle_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push 0
    .endif
    .if (vector < 128)
    .byte 0x6a, vector
    .else
    .byte 0x68
    .long vector
    .endif
    .if (vector == 1) || (vector == 2) || (vector == 8) || (vector == 18)
    jmp entry_any
    .else
    jmp entry_trap
    .endif
    .set vector, vector + 1
    .endr
