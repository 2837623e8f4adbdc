# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# The ways between the guest and the shim (parzelle_abi::x86_64::vector).
#
#   guest user ── call ──► bounce ─────────────────────────► EXIT_CALL ──► guest kernel
#              ── page fault of its own ► fault ───────────► EXIT_FAULT ─►
#              ── trap, event ──┐                         ┌► EXIT_KERNEL ─►
#   guest kernel ── call ──┬────┴► save ─► turn ─► leave ─┼► EXIT_FAST ──► guest user
#                ── trap ──┘         (Rust)               └► EXIT_FULL ──►
#                ── call 23 (iret), jump ► back ────────────────── EXIT_FAST, EXIT_FULL, EXIT_KERNEL
#                ── frequent calls ► quick ─► short (Rust) ─ EXIT_BACK ───► guest kernel
#
# On arrival rsp leads to Guest; rcx and r11 are free. `save` writes all general registers to the
# Vcpu, by number; those that are in Guest (rsp, and for traps rax, rcx, r11) Rust takes from there.

.macro CAUSE number
    mov rsp, [rsp + {OWN} + 8 * {SAVE}]
    mov ecx, \number
    jmp save
.endm

# Makes of what sysret takes what iretq takes.
.macro AS_SYSRET
    mov rcx, [rsp + {RIP}]
    mov [rsp + {RCX}], rcx
    mov rcx, [rsp + {RFLAGS}]
    mov [rsp + {R11}], rcx
    mov qword ptr [rsp + {CS}], {USER_CODE}
    mov qword ptr [rsp + {SS}], {USER_DATA}
.endm

# What a trap has in Guest.
.macro KEEP
    mov [rsp + {RAX}], rax
    mov [rsp + {RCX}], rcx
    mov [rsp + {R11}], r11
.endm

# From the user program to the guest's kernel: events are masked, gs is the kernel's. rcx leads to
# Guest, r11 to vcpu_info.
.macro TO_KERNEL
    mov byte ptr [r11 + {MASK}], 1
    rdgsbase r11
    mov [rcx + {OWN} + 8 * {GS_USER}], r11
    mov r11, [rcx + {OWN} + 8 * {GS_KERNEL}]
    wrgsbase r11
.endm

# And back, by an exit (fast, full), unless an event waits. r11 leads to the frame, rsp to Guest + ASIDE.
.macro TO_USER exit
    mov rax, [r11 + 56]
    mov [rsp - {ASIDE} + {RSP}], rax
    sub rsp, {ASIDE}
    mov rcx, [rsp + {OWN} + 8 * {INFO}]
    mov byte ptr [rcx + {MASK}], 0
    cmp byte ptr [rcx], 0
    jne slow_\exit
    mov r11, [rsp + {OWN} + 8 * {GS_USER}]
    wrgsbase r11
    jmp exit_\exit
.endm

.section .vectors, "ax", @progbits
.global vectors
vectors:
# Guest context: call
    jmp qword ptr [rsp + {OWN} + 8 * {CALL}]
.org 0x080
# Guest context: trap
    jmp qword ptr [rsp + {OWN} + 8 * {TRAP}]
.org 0x100
# Guest context: event
    CAUSE {GUEST_EVENT}
.org 0x200
# Host context: call
    cmp rax, {IRET}
    je back
    cmp rax, 31
    ja 1f
    mov ecx, {QUICK}
    bt ecx, eax
    jc quick
1:  CAUSE {HOST_CALL}
.org 0x280
# Host context: trap
    CAUSE {HOST_TRAP}
.org 0x300
# Host context: event
    CAUSE {HOST_EVENT}

.org 0x380
# A fault below. The stack pointer tells where: the guest's (bounce), ours (routines that Rust
# calls), or in the vCPU page: at Guest in an exit, a little above in `back`.
    cmp rsp, [rip + shim_first]
    jb repair_bounce
    cmp rsp, [rip + shim_last]
    ja repair_bounce
    cmp esp, {STACKS}
    jb 1f
    mov eax, 1
    ret
1:  test esp, {ASIDE}
    jnz repair_back
    jmp repair_exit

.org 0x400
# Routines for Rust: 0 in rax is success, what was read is in rdx.
.global guarded_copy
guarded_copy:
    mov ecx, edx
    shr ecx, 3
    rep movsq
    mov ecx, edx
    and ecx, 7
    rep movsb
    xor eax, eax
    ret
.global guarded_load
guarded_load:
    mov rdx, [rdi]
    xor eax, eax
    ret
.global guarded_pair
guarded_pair:
    mov rdx, [rdi]
    mov rcx, [rdi + 8]
    xor eax, eax
    ret
.global guarded_store
guarded_store:
    mov [rdi], rsi
    xor eax, eax
    ret
.global guarded_exchange
guarded_exchange:
    mov rax, rsi
    lock cmpxchg [rdi], rdx
    mov rdx, rax
    xor eax, eax
    ret
.global guarded_gs
guarded_gs:
    mov gs, edi
    xor eax, eax
    ret

# A system call: the frame of the guest's kernel, on its stack (rsp); rcx leads to Guest.
bounce_guarded:
    push {USER_DATA}
    push qword ptr [rcx + {RSP}]
    mov r11, [rcx + {RFLAGS}]
    push r11
    push {USER_CODE}
    push qword ptr [rcx + {RIP}]
    push r11
    push qword ptr [rcx + {RIP}]
    mov r11, [rcx + {OWN} + 8 * {INFO}]
    TO_KERNEL
    jmp exit_call

# A page fault: the same, with all that a trap has; r11 leads to vcpu_info.
fault_guarded:
    push qword ptr [rcx + {SS}]
    push qword ptr [rcx + {RSP}]
    push qword ptr [rcx + {RFLAGS}]
    push qword ptr [rcx + {CS}]
    push qword ptr [rcx + {RIP}]
    push qword ptr [rcx + {ERROR}]
    push qword ptr [rcx + {R11}]
    push qword ptr [rcx + {RCX}]
    mov qword ptr [rcx + {OWN} + 8 * {KEPT}], 0
    TO_KERNEL
    jmp exit_fault

# `iret`: r11 leads to the frame, rsp to Guest + ASIDE; rax and rcx are free.
# What is overwritten of Guest before the last word of the frame was read is not needed by who
# does it again (the Rust way): that reads the frame at Guest.rsp.
back_guarded:
    mov rcx, [r11 + 48]
    mov eax, [r11 + 40]
    cmp eax, {USER_CODE}
    jne back_other
    test ecx, 0x200
    jz back_slow
    mov [rsp - {ASIDE} + {RFLAGS}], rcx
    mov rax, [r11 + 32]
    mov [rsp - {ASIDE} + {RIP}], rax
    cmp word ptr [r11 + 64], {USER_DATA}
    jne back_full
    sub rax, [r11 + 16]
    sub rcx, [r11 + 8]
    or rax, rcx
    jnz back_full
    mov rax, [r11]
    mov [rsp - {ASIDE} + {RAX}], rax
    TO_USER fast
back_full:
    mov rax, [r11]
    mov [rsp - {ASIDE} + {RAX}], rax
    mov rax, [r11 + 8]
    mov [rsp - {ASIDE} + {R11}], rax
    mov rax, [r11 + 16]
    mov [rsp - {ASIDE} + {RCX}], rax
    mov eax, [r11 + 40]
    mov [rsp - {ASIDE} + {CS}], rax
    mov rax, [r11 + 64]
    or eax, 3
    mov [rsp - {ASIDE} + {SS}], rax
    TO_USER full
# Not to 64-bit code of a user program: to the guest's kernel itself, mostly.
back_other:
    test al, 3
    jnz back_slow
    mov rax, [r11 + 32]
    mov [rsp - {ASIDE} + {RIP}], rax
    mov rax, [r11]
    mov [rsp - {ASIDE} + {RAX}], rax
    mov rax, [r11 + 16]
    mov [rsp - {ASIDE} + {RCX}], rax
    mov rax, [r11 + 8]
    mov r11, [r11 + 56]
    jmp back_kernel

.org 0x600
# All registers are the guest's, rsp leads to Guest.
.global exit_kernel
exit_kernel:
    cmp qword ptr [rsp + {PENDING}], 0
    jne pending_kernel
    iretq
.org 0x640
.global exit_fast
exit_fast:
    cmp qword ptr [rsp + {PENDING}], 0
    jne pending_fast
    mov rax, {RESUME_FAST}
    syscall
    # What is queued takes more than one call.
    jmp exit_fast
.org 0x680
.global exit_full
exit_full:
    cmp qword ptr [rsp + {PENDING}], 0
    jne pending_full
    mov rax, {RESUME_FULL}
    syscall
    jmp exit_full
.org 0x6c0
# A system call: rsp is the guest's, rcx leads to Guest. The guest takes rcx and r11 from its stack.
exit_call:
    cmp qword ptr [rcx + {PENDING}], 0
    jne pending_call
    jmp qword ptr [rcx + {OWN} + 8 * {SYSCALL}]
.org 0x700
# A page fault of a user program: likewise.
exit_fault:
    cmp qword ptr [rcx + {PENDING}], 0
    jne pending_fault
    mov rax, [rcx + {RAX}]
    jmp qword ptr [rcx + {OWN} + 8 * {FAULT}]
.org 0x740
# The end of a call: rax is the result, rcx leads to Guest, which tells where the guest goes on.
exit_back:
    cmp qword ptr [rcx + {PENDING}], 0
    jne pending_back
    mov rsp, [rcx + {RSP}]
    jmp qword ptr [rcx + {RIP}]
.org 0x800
.global vectors_end
vectors_end:

.section .rodata.vectors, "a", @progbits
.balign 8
shim_first: .quad {SHIM}
shim_last: .quad {SHIM_LAST}
table: .quad 0x000ffffffffff000

.section .text.vectors, "ax", @progbits
# GUEST_CALL, when nothing is in the way.
.global bounce
bounce:
    mov rcx, rsp
    mov rsp, [rcx + {OWN} + 8 * {KERNEL_SP}]
    jmp bounce_guarded
repair_bounce:
    mov rsp, rcx
    mov rcx, [rsp + {OWN} + 8 * {KEPT}]
    test rcx, rcx
    jnz repair_fault
# GUEST_CALL, when something is.
.global bounce_slow
bounce_slow:
    CAUSE {GUEST_CALL}

# GUEST_TRAP: a page fault for which the guest's tables have no entry, or a write to what they say
# is read-only, is the guest's own. (Nothing that is queued is missing: the kernel has taken it before the program
# went on.) rax, rcx, r11 are in Guest. Of everything else Rust knows more.
.global trap_short
trap_short:
    cmp dword ptr [rsp + {VECTOR}], 14
    jne trap_slow
    mov rcx, [rsp + {ADDRESS}]
    mov r11, rcx
    shr r11, 39
    cmp r11d, 256
    jae trap_slow
    mov rax, [rsp + {OWN} + 8 * {ROOT}]
    mov rax, [rax + 8 * r11]
    .irp shift, 30, 21, 12
    test al, 1
    jz fault
    and rax, [rip + table]
    cmp rax, [rsp + {OWN} + 8 * {RAM_BYTES}]
    jae trap_slow
    add rax, [rsp + {OWN} + 8 * {RAM}]
    mov r11, rcx
    shr r11, \shift
    and r11d, 511
    mov rax, [rax + 8 * r11]
    .endr
    test al, 1
    jz fault
    test al, 2
    jnz trap_slow
    test byte ptr [rsp + {ERROR}], 2
    jz trap_slow
fault:
    mov eax, [rsp + {ERROR}]
    bts rax, 63
    mov [rsp + {OWN} + 8 * {KEPT}], rax
    mov r11, [rsp + {OWN} + 8 * {INFO}]
    mov [r11 + {CR2}], rcx
    mov rcx, rsp
    mov rsp, [rcx + {OWN} + 8 * {KERNEL_SP}]
    jmp fault_guarded
# The stack was not there: the shim's own fault has taken the place of the program's.
repair_fault:
    mov qword ptr [rsp + {OWN} + 8 * {KEPT}], 0
    mov ecx, ecx
    mov [rsp + {ERROR}], rcx
    mov qword ptr [rsp + {VECTOR}], 14
    mov rcx, [rsp + {OWN} + 8 * {INFO}]
    mov rcx, [rcx + {CR2}]
    mov [rsp + {ADDRESS}], rcx
.global trap_slow
trap_slow:
    CAUSE {GUEST_TRAP}

# HOST_CALL, of those that are frequent and quickly done. Who is single-stepped goes the long way.
quick:
    test dword ptr [rsp + {RFLAGS}], 0x100
    jnz quick_not
    cmp eax, {MMU_UPDATE}
    je quick_update
    cmp eax, {MMUEXT_OP}
    je quick_extended
    cmp eax, {STACK_SWITCH}
    je quick_stack
    cmp eax, {SEGMENT_BASE}
    je quick_base
    cmp eax, {TASK_SWITCH}
    je quick_task
quick_other:
    mov r11, rsp
    mov rcx, [r11 + {OWN} + 8 * {SAVE}]
    mov rsp, [rcx + {STACK} - 128]
    push r9
    push r8
    push r10
    push rdx
    push rsi
    push rdi
    push r11
    push rax
    lea rdi, [rcx - 128]
    lea rsi, [rsp + 16]
    mov edx, eax
    call {short}
    test edx, edx
    mov rdx, rax
    pop rax
    pop rcx
    pop rdi
    pop rsi
    jnz quick_rest
    mov rax, rdx
    pop rdx
    pop r10
    pop r8
    pop r9
    jmp exit_back
# A list of that many operations, on what is the guest's own, that need not be told how many were done.
# The arguments need not be kept.
.macro LIST number, count, function
    cmp r10w, {SELF}
    jne quick_other
    cmp rsi, \count
    jne quick_other
    test rdx, rdx
    jnz quick_other
    mov r11, rsp
    mov rcx, [rsp + {OWN} + 8 * {SAVE}]
    mov rsp, [rcx + {STACK} - 128]
    push r11
    push rdi
    push r8
    push r9
    lea rsi, [rcx - 128]
    call \function
    pop r9
    pop r8
    pop rdi
    pop rcx
    test eax, eax
    jz exit_back
    mov rsp, rcx
    mov eax, \number
    mov esi, \count
    xor edx, edx
    mov r10d, {SELF}
    jmp quick_other
.endm
# One entry of a table.
quick_update:
    LIST {MMU_UPDATE}, 1, {single}
# One operation: a flush. Two: both roots, of another process.
quick_extended:
    cmp rsi, 1
    jne quick_roots
    LIST {MMUEXT_OP}, 1, {flush}
quick_roots:
    LIST {MMUEXT_OP}, 2, {roots}
# An address that is none goes the long way.
.macro CANONICAL
    mov rcx, rsi
    shl rcx, 16
    sar rcx, 16
    cmp rcx, rsi
    jne quick_other
.endm
# The base of FS.
quick_base:
    test rdi, rdi
    jnz quick_other
    CANONICAL
    wrfsbase rcx
    mov rcx, rsp
    xor eax, eax
    jmp exit_back
# The stack of the guest's kernel.
quick_stack:
    CANONICAL
    and rcx, -16
    mov [rsp + {OWN} + 8 * {KERNEL_SP}], rcx
    mov rcx, rsp
    xor eax, eax
    jmp exit_back
quick_task:
    mov rcx, [rsp + {OWN} + 8 * {SAVE}]
    test rdi, rdi
    setnz byte ptr [rcx + {SWITCHED} - 128]
    mov rcx, rsp
    xor eax, eax
    jmp exit_back
# What is left is done the long way.
quick_rest:
    pop rdx
    pop r10
    pop r8
    pop r9
    mov rsp, rcx
quick_not:
    CAUSE {HOST_CALL}

# HOST_CALL 23, by a jump (parzelle_xen::site): all registers are the guest's. Who it is, a segment tells.
.global direct_return
direct_return:
    push 0
    push rcx
    push r11
    push rax
    mov r11, rsp
    mov eax, {NUMBER}
    lsl eax, eax
    shl rax, 12
    mov rsp, [rip + {first}]
    add rsp, rax
    mov [rsp - {ASIDE} + {RSP}], r11
    jmp back_guarded

# HOST_CALL 23.
back:
    mov r11, [rsp + {RSP}]
    add rsp, {ASIDE}
    jmp back_guarded
# Within the guest's kernel: rax is to be its r11, r11 its rsp, rcx its flags.
back_kernel:
    sub rsp, {ASIDE}
    mov [rsp + {R11}], rax
    mov [rsp + {RSP}], r11
    mov rax, [rsp + {OWN} + 8 * {INFO}]
    bt ecx, 9
    setnc r11b
    mov [rax + {MASK}], r11b
    cmp byte ptr [rax], 0
    setz al
    or al, r11b
    and ecx, {CHOSEN}
    or ecx, 0x202
    mov [rsp + {RFLAGS}], rcx
    mov qword ptr [rsp + {CS}], {USER_CODE}
    mov qword ptr [rsp + {SS}], {USER_DATA}
    test al, al
    jz slow_kernel
    mov rax, [rsp + {RAX}]
    mov rcx, [rsp + {RCX}]
    mov r11, [rsp + {R11}]
    jmp exit_kernel
repair_back:
back_slow:
    sub rsp, {ASIDE}
    mov eax, {IRET}
    CAUSE {HOST_CALL}

# The guest's kernel has left, an event waits for it. Guest and gs are the user program's and the
# kernel's: `turn` knows.
slow_fast:
    AS_SYSRET
slow_full:
    CAUSE {RETURNED}
# Likewise, within it.
slow_kernel:
    CAUSE {HOST_PENDING}

pending_kernel:
    KEEP
    CAUSE {HOST_PENDING}
pending_fast:
    AS_SYSRET
pending_full:
    CAUSE {GUEST_PENDING}
pending_call:
    mov [rcx + {RSP}], rsp
    mov rsp, rcx
    mov rcx, [rsp + {OWN} + 8 * {SYSCALL}]
pending_entry:
    mov [rsp + {RIP}], rcx
    mov qword ptr [rsp + {CS}], {USER_CODE}
    mov qword ptr [rsp + {RFLAGS}], 0x202
    mov qword ptr [rsp + {SS}], {USER_DATA}
    jmp pending_kernel
pending_fault:
    mov [rcx + {RSP}], rsp
    mov rsp, rcx
    mov rax, [rsp + {RAX}]
    mov rcx, [rsp + {OWN} + 8 * {FAULT}]
    jmp pending_entry
pending_back:
    mov rsp, rcx
    mov qword ptr [rsp + {CS}], {USER_CODE}
    mov qword ptr [rsp + {SS}], {USER_DATA}
    jmp pending_kernel
# The processor refused to go where the guest's kernel wants to.
repair_exit:
    KEEP
    CAUSE {EXIT_FAULT}

save:
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push rcx
    push rbx
    push rdx
    push rcx
    push rax
    mov rdi, rsp
    mov rbx, rsp
    mov esi, ecx
    mov rsp, [rdi + {STACK}]
    cld
    call {turn}
    mov rdi, rbx
    jmp leave_registers

# The first time: rdi leads to the Vcpu. What is on the stack stays.
.global enter
enter:
    sub rsp, 128
    and rsp, -16
    mov [rdi + {STACK}], rsp
leave_registers:
    mov rax, [rdi]
    mov rcx, [rdi + 8]
    mov rdx, [rdi + 16]
    mov rbx, [rdi + 24]
    mov rbp, [rdi + 40]
    mov rsi, [rdi + 48]
    mov r8, [rdi + 64]
    mov r9, [rdi + 72]
    mov r10, [rdi + 80]
    mov r11, [rdi + 88]
    mov r12, [rdi + 96]
    mov r13, [rdi + 104]
    mov r14, [rdi + 112]
    mov r15, [rdi + 120]
    mov rsp, [rdi + {GUEST}]
    mov rdi, [rdi + 56]
    jmp qword ptr [rsp + {OWN} + 8 * {EXIT}]
