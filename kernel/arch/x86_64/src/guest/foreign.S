# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# Between a guest and its shim: what trap.S turns over here. Offsets are those of `Sides` and of the
# interface's `Guest`, which lies in the vCPU page: what is read there is read once.
#
#   guest user ── syscall ──► …_reflect_call ─┐              ┌─ …_resume ◄── syscall, rax < 0 ── shim
#   guest kernel  exception ► …_reflect_trap ─┴► to_shim     └► resume_full ─► guest user

.section .text.trap, "ax"
.global parzelle_reflect_call, parzelle_reflect_trap, parzelle_resume, parzelle_entry_fault

# --- Foreign code ------------------------------------------------------------------------------
# rsp = end of the context, as above; rcx, r11: where it was, its flags. No other register changes.
parzelle_reflect_call:
    mov rsp, [rsp + {PAGE} - {SAVED}]
    mov [rsp + {G_RIP}], rcx
    mov [rsp + {G_RFLAGS}], r11
    mov rcx, gs:[{USER_SP}]
    mov [rsp + {G_RSP}], rcx
    mov rsp, gs:[{SAVE}]
    mov r11, [rsp + {VECTORS} - {SAVED}]
    # r11 = where to in the shim. Its root is loaded in the host context, be it the guest's kernel that runs there.
to_shim:
    test r11d, {HOST}
    jnz 1f
    mov rcx, [rsp + {HOST_ROOT} - {SAVED}]
    mov cr3, rcx
    movabs rcx, {SHIM_END}
    mov [rsp + {OWN_END} - {SAVED}], rcx
    or dword ptr [rsp + {VECTORS} - {SAVED}], {HOST}
1:  mov rcx, r11
    mov r11d, {CLEAN}
    mov rsp, [rsp + {PAGE_USER} - {SAVED}]
    swapgs
    sysretq

# rsp = the context's general registers but for rax, which is pushed already; rax = where it was.
parzelle_reflect_trap:
    push rcx
    mov rcx, [rsp + 16 + {PAGE} - {VECTOR}]
    # A program without a guest comes here by one jump, to the largest signed number; its fault is its own.
    test rcx, rcx
    jz 3f
    mov [rcx + {G_RIP}], rax
    .macro tell to, from
    mov rax, [rsp + 16 + \from - {VECTOR}]
    mov [rcx + \to], rax
    .endm
    tell {G_CS}, {CS}
    tell {G_RFLAGS}, {RFLAGS}
    tell {G_RSP}, {RSP}
    tell {G_SS}, {SS}
    tell {G_ERROR}, {ERROR}
    tell {G_VECTOR}, {VECTOR}
    mov [rcx + {G_R11}], r11
    # The address is this exception's or none: CR2 may hold another partition's.
    cmp eax, {PF}
    jne 2f
    mov rax, cr2
1:  mov [rcx + {G_ADDRESS}], rax
    mov rax, [rsp]
    mov [rcx + {G_RCX}], rax
    mov rax, [rsp + 8]
    mov [rcx + {G_RAX}], rax
    add rsp, 16 + {SAVED} - {VECTOR}
    mov r11, [rsp + {VECTORS} - {SAVED}]
    add r11, {TRAP}
    jmp to_shim
2:  xor r11d, r11d
    cmp eax, {DB}
    mov eax, r11d
    jne 1b
    mov rax, dr6
    mov dr6, r11
    jmp 1b

3:  pop rcx
    jmp parzelle_entry_own

# The shim goes on in the guest context. Who has no guest goes the long way.
parzelle_resume:
    mov r11, [rsp + {PAGE} - {SAVED}]
    test r11, r11
    jz resume_call
    cmp dword ptr [r11 + {G_QUEUED}], 0
    jne resume_drain
resume_drained:
    cmp rax, {FULL}
    je resume_full
    jb resume_call
    # By sysret: its address must be canonical; here, in the lower half.
    mov rax, [r11 + {G_RIP}]
    mov rcx, rax
    shr rcx, 47
    jnz resume_high
    # With TF it would trap before the first instruction, and RF would be lost.
    test dword ptr [r11 + {G_RFLAGS}], {STEP}
    jnz resume_high
    mov rcx, [rsp + {GUEST_ROOT} - {SAVED}]
    mov cr3, rcx
    movabs rcx, {GUEST_END}
    mov [rsp + {OWN_END} - {SAVED}], rcx
    and dword ptr [rsp + {VECTORS} - {SAVED}], ~{HOST}
    mov rcx, rax
    mov rax, [r11 + {G_RAX}]
    mov rsp, [r11 + {G_RSP}]
    mov r11, [r11 + {G_RFLAGS}]
    and r11d, {FLAGS}
    or r11d, {CLEAN}
    swapgs
    sysretq

# A step of what is queued, first: mostly it is one. Registers that Rust does not keep, go on the stack.
resume_drain:
    cmp rax, {FULL}
    jb resume_call
    mov rcx, rsp
    mov rsp, gs:[{STACK_TOP}]
    .irp register, rcx, rax, rdi, rsi, rdx, r8, r9, r10
    push \register
    .endr
    mov rdi, gs:[{CORE}]
    call parzelle_drain
    test al, al
    .irp register, r10, r9, r8, rdx, rsi, rdi, rax, rsp
    pop \register
    .endr
    mov r11, [rsp + {PAGE} - {SAVED}]
    jnz resume_drained
    # There is more: the shim tries again.
    mov rcx, [rsp + {RIP} - {SAVED}]
    mov r11d, {CLEAN}
    mov rsp, gs:[{USER_SP}]
    swapgs
    sysretq

resume_high:
    mov rax, -1
    mov rcx, [rsp + {RIP} - {SAVED}]
resume_call:
    mov r11d, {CLEAN}
    jmp parzelle_save_call

resume_full:
    .macro take to, from
    mov rcx, [r11 + \from]
    mov [rsp + \to - {SAVED}], rcx
    .endm
    take {RIP}, {G_RIP}
    take {RSP}, {G_RSP}
    mov ecx, [r11 + {G_RFLAGS}]
    and ecx, {FLAGS}
    or ecx, {CLEAN}
    mov [rsp + {RFLAGS} - {SAVED}], rcx
    # Whatever the selectors are: privilege level 3.
    movzx ecx, word ptr [r11 + {G_CS}]
    or ecx, 3
    mov [rsp + {CS} - {SAVED}], rcx
    movzx ecx, word ptr [r11 + {G_SS}]
    or ecx, 3
    mov [rsp + {SS} - {SAVED}], rcx
    mov rcx, [rsp + {GUEST_ROOT} - {SAVED}]
    mov cr3, rcx
    movabs rcx, {GUEST_END}
    mov [rsp + {OWN_END} - {SAVED}], rcx
    and dword ptr [rsp + {VECTORS} - {SAVED}], ~{HOST}
    mov rax, [r11 + {G_RAX}]
    mov rcx, [r11 + {G_RCX}]
    mov r11, [r11 + {G_R11}]
    lea rsp, [rsp + {RIP} - {SAVED}]
    swapgs
    jmp parzelle_iret

# --- Exceptions of the kernel ------------------------------------------------------------------
# The kernel faults at one instruction only: the return to a guest that has asked for the impossible. It is
# told as if it had gone there and faulted at once.
parzelle_entry_fault:
    push rax
    lea rax, [rip + parzelle_iret]
    cmp rax, [rsp + 8 + 16]
    pop rax
    jne parzelle_entry_end
    swapgs
    # Where the return has found its frame, which begins with the program counter.
    mov rsp, [rsp + 40]
    push 0
    push {GP}
    jmp parzelle_entry_user

# A 32-bit syscall (AMD only): told as the exception that Intel's processors raise, at its own address.
.global parzelle_entry_compat
parzelle_entry_compat:
    swapgs
    mov gs:[{USER_SP}], rsp
    mov rsp, gs:[{SAVE}]
    push {USER_DATA}
    push qword ptr gs:[{USER_SP}]
    push r11
    push {USER_CODE_32}
    sub rcx, 2
    push rcx
    push 0
    push {UD}
    jmp parzelle_entry_user
