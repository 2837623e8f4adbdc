# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# All ways in end in `turn`, on a fresh stack: what the foreign code was is forgotten.
#
#   vectors ──► arrive ──► turn(Guest, cause)          depart ──► an exit ──► foreign code

.macro ARRIVE cause
    mov ecx, \cause
    jmp arrive
.endm

.section .vectors, "ax", @progbits
.global vectors
vectors:
    ARRIVE 0
.org 0x080
    ARRIVE 1
.org 0x100
    ARRIVE 2
.org 0x200
    ARRIVE 3
.org 0x280
    ARRIVE 4
.org 0x300
    ARRIVE 5
.org 0x380
# In an exit the stack pointer leads to Guest, in a guarded routine to our stack, which lies above.
    cmp esp, {STACKS}
    jb 1f
    mov eax, 1
    ret
1:  ARRIVE 6

.org 0x400
# Guarded routines: 0 in rax unless they fault.
.global guarded_load
guarded_load:
    mov rdx, [rdi]
    xor eax, eax
    ret
.global guarded_store
guarded_store:
    mov [rdi], rsi
    xor eax, eax
    ret
.global guarded_ds
guarded_ds:
    mov ds, edi
    xor eax, eax
    ret
.global guarded_es
guarded_es:
    mov es, edi
    xor eax, eax
    ret
.global guarded_fs
guarded_fs:
    mov fs, edi
    xor eax, eax
    ret
.global guarded_gs
guarded_gs:
    mov gs, edi
    xor eax, eax
    ret
.global guarded_ss
guarded_ss:
    mov ss, edi
    xor eax, eax
    ret
.global guarded_look
guarded_look:
    lar eax, edi
    lsl eax, edi
    verr di
    verw di
    xor eax, eax
    ret
.global guarded_task
guarded_task:
    str eax
    sldt eax
    smsw eax
    xor eax, eax
    ret
.global guarded_hlt
guarded_hlt:
    hlt
    xor eax, eax
    ret
.global guarded_int
guarded_int:
    int 0x80
    int3
    xor eax, eax
    ret
.global guarded_cr
guarded_cr:
    mov rax, cr3
    xor eax, eax
    ret

# By iretq into the host context; Guest is its frame.
.org 0x600
.global exit_iretq
exit_iretq:
    cmp qword ptr [rsp + {PENDING}], 0
    jne pending
    iretq
.org 0x640
.global exit_fast
exit_fast:
    cmp qword ptr [rsp + {PENDING}], 0
    jne pending
    mov rax, -1
    syscall
    ARRIVE 7
.org 0x680
.global exit_full
exit_full:
    cmp qword ptr [rsp + {PENDING}], 0
    jne pending
    mov rax, -2
    syscall
    ARRIVE 7
.org 0x6c0
# A call with garbage for a number less than 0, which is no resume.
.global exit_odd
exit_odd:
    cmp qword ptr [rsp + {PENDING}], 0
    jne pending
    mov rax, [rsp + {OWN} + 16]
    syscall
    ARRIVE 7
.org 0x800

.section .text.vectors, "ax", @progbits
pending:
    mov ecx, 8
arrive:
    mov rdi, rsp
    mov rsp, [rdi + {OWN}]
    mov esi, ecx
    xor ebp, ebp
    cld
    call {turn}
    ud2

# rdi: the general registers but for rax, rsp, r11, rcx; rsi: Guest; rdx: an exit.
.global depart
depart:
    mov rsp, rsi
    mov [rsp + {OWN} + 8], rdx
    mov rbx, [rdi]
    mov rdx, [rdi + 8]
    mov rbp, [rdi + 16]
    mov r8, [rdi + 24]
    mov r9, [rdi + 32]
    mov r10, [rdi + 40]
    mov r12, [rdi + 48]
    mov r13, [rdi + 56]
    mov r14, [rdi + 64]
    mov r15, [rdi + 72]
    mov rsi, [rdi + 80]
    mov rdi, [rdi + 88]
    jmp qword ptr [rsp + {OWN} + 8]

# What foreign code does: pieces of 16 bytes, of which none writes where the shim is (rdi, rsi, r15 and
# rsp may lead anywhere else).
.section .rodata.pieces, "a", @progbits
.macro PIECE
    .balign 16, 0x90
.endm
.balign 16
.global pieces
pieces:
    syscall
    .byte 0xeb, 0xfe            # jmp to itself
PIECE
    ud2
PIECE
    int3
    jmp pieces
PIECE
    int 0x80
PIECE
    hlt
PIECE
    cli
    sti
PIECE
    in al, dx
PIECE
    out dx, al
PIECE
    mov rax, cr3
PIECE
    mov cr0, rax
PIECE
    mov dr7, rax
PIECE
    rdmsr
PIECE
    wrmsr
PIECE
    lgdt [rdi]
PIECE
    sgdt [rdi]
PIECE
    lldt ax
PIECE
    ltr ax
PIECE
    swapgs
PIECE
    sysretq
PIECE
    invlpg [rdi]
PIECE
    wbinvd
PIECE
    clts
PIECE
    xgetbv
PIECE
    xsetbv
PIECE
    vmcall
PIECE
    int 2
PIECE
    int 14
PIECE
    .byte 0xf1
PIECE
    mov rax, [rdi]
    jmp pieces
PIECE
    mov ds, esi
    mov es, ebp
    jmp pieces
PIECE
    mov ss, esi
    syscall
    .byte 0xeb, 0xfe            # jmp to itself
PIECE
    mov fs, esi
    mov gs, ebp
    jmp pieces
PIECE
    rdfsbase rax
    wrgsbase r10
    jmp pieces
PIECE
    pushfq
    or dword ptr [rsp], 0x100
    popfq
    nop
    syscall
PIECE
    push rsi
    popfq
    nop
    jmp pieces
PIECE
    sysenter
PIECE
    retfq
PIECE
    fld1
    fnstenv [rdi]
    jmp pieces
PIECE
    .byte 0xeb, 0xfe            # jmp to itself
PIECE
    cpuid
    rdtsc
    jmp pieces
PIECE
    xor eax, eax
    div eax
PIECE
    mov ss, esi
    int3
    .byte 0xeb, 0xfe            # jmp to itself
PIECE
    push rdi
    ret
PIECE
    mov eax, 70
    syscall
    jmp pieces
PIECE
    mov rax, -1
    syscall
    jmp pieces
PIECE
.global pieces_end
pieces_end:
