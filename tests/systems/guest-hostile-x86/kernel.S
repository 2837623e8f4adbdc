// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guest that attacks from beside its shim, in the same ring: round after round of random hypercalls,
// tables of random contents, privileged instructions, random code, segments, flags and stacks, rings and
// shared pages full of rubbish, returns to user programs that can't be; and into the shim itself: jumps to
// any place of it, its own kernel calls with random arguments, words written over its data. Most lives end
// soon, which is as it should be: the partition starts again, and so do the attacks, with other numbers.
//
//   llvm-mc -triple x86_64-none-none-elf -filetype obj kernel.S -o kernel.o
//   ld -nostdlib -static -N -Ttext=0xffffffff80100000 -e start -o kernel.img kernel.o && strip kernel.img
//
// All of its state is in memory: no register survives a round.
//
// QEMU 7.2 lets ring 3 set VM and IOPL by an `iret` of 32 bits (0xcf), in long mode too, where no processor has
// a virtual-8086 mode (Intel SDM, Vol. 2A, IRET). No kernel can help that: so these attacks leave it out.

.intel_syntax noprefix
.set BASE, 0xffffffff80000000
.set FRAMES, 8192                       // of 32 MiB
.set TABLES, 64                         // frames of its own for tables and code

.macro NOTE kind, value
    .long   4, 8, \kind
    .asciz  "Xen"
    .quad   \value
.endm

.section .note.Xen, "", @note
    NOTE    1, start                    // entry
    NOTE    3, BASE                     // virt_base
    NOTE    4, BASE                     // paddr_offset: segments name their addresses
    .long   4, 8, 5
    .asciz  "Xen"
    .asciz  "xen-3.0"

.text
.global start
start:
    mov     [rip + start_info], rsi
    rdtsc
    shl     rdx, 32
    or      rax, rdx
    mov     rcx, 0x9e3779b97f4a7c15
    xor     rax, rcx
    mov     [rip + seed], rax
    call    setup
    // The page that both share, at `shared`.
    mov     rsi, [rip + start_info]
    mov     rsi, [rsi + 40]
    or      rsi, 0x67
    lea     rdi, [rip + shared]
    mov     edx, 2
    mov     eax, 14
    syscall
    // A root for user programs, who see what the kernel sees.
    mov     rsi, [rip + start_info]
    mov     rsi, [rsi + 88]             // pt_base
    mov     rax, [rsi + 511 * 8]
    mov     [rip + users_root + 511 * 8], rax
    lea     rax, [rip + users_root]
    mov     rdi, BASE
    sub     rax, rdi
    shr     rax, 12
    mov     edi, 15                     // NEW_USER_BASEPTR
    call    extended
    // The timer, so that whoever sleeps wakes up.
    lea     rsi, [rip + virq]
    mov     edi, 1
    mov     eax, 32
    syscall
    xor     edi, edi
    mov     esi, 14                     // bytes
    lea     rdx, [rip + begins]
    mov     eax, 18
    syscall
    // Where the shim makes a kernel call.
    mov     rdi, 0xffff810000400800
1:  cmp     word ptr [rdi], 0x050f
    je      2f
    inc     rdi
    jmp     1b
2:  mov     [rip + gadget], rdi

// After an exception or an event of any kind, and after each round.
recover:
next:
    lea     rsp, [rip + stack]
    push    2
    popfq
    inc     qword ptr [rip + rounds]
    test    qword ptr [rip + rounds], 15
    jnz     1f
    call    setup
1:  call    arm
    call    random
    shr     rax, 20
    mov     ecx, eax
    and     ecx, 31
    // What lasts long enough for others to have their turn, or ends a life at once, is rarer.
    cmp     ecx, 16
    jb      2f
    and     ecx, 7
2:  lea     rdx, [rip + table]
    movsxd  rcx, dword ptr [rdx + 4 * rcx]
    add     rdx, rcx
    jmp     rdx
table:
    .irp    name, hypercall, hypercall_odd, entries, operations, fill, instruction, user, segments, scribble, states, callbacks, code, jump, vector, gadgets, write
    .long   \name - table
    .endr

hypercall:
    call    registers
    mov     rax, [rip + seed]
    shr     rax, 9
    and     eax, 63
    jmp     make_call
hypercall_odd:
    call    registers
    .irp    register, rdi, rsi, rdx, r10, r8
    push    rax
    push    rcx
    push    rdi
    push    rsi
    push    rdx
    call    odd
    pop     rdx
    pop     rsi
    pop     rdi
    mov     \register, rax
    pop     rcx
    pop     rax
    .endr
    mov     rax, [rip + seed]
    shr     rax, 11
    and     eax, 63
make_call:
    cmp     eax, 18                     // a log of rubbish proves nothing
    je      next
    cmp     eax, 29                     // yields and blocks only
    jne     1f
    and     edi, 1
1:  syscall
    jmp     next

entries:                                // mmu_update: of tables of its own, or whatever is there
    lea     rbx, [rip + arguments]
    mov     ebp, 8
1:  call    frame
    shl     rax, 12
    mov     r12, rax
    call    random
    and     eax, 0xffb
    or      r12, rax
    mov     [rbx], r12
    call    entry
    mov     [rbx + 8], rax
    add     rbx, 16
    dec     ebp
    jnz     1b
    lea     rdi, [rip + arguments]
    mov     esi, 8
    xor     edx, edx
    mov     r10d, 0x7ff0
    mov     eax, 1
    syscall
    jmp     next

operations:                             // mmuext_op
    mov     ebp, 4
1:  call    odd
    mov     r12, rax
    call    frame
    mov     r13, rax
    call    random
    mov     edi, eax
    and     edi, 31
    mov     rax, r13
    mov     rdx, r12
    call    extended
    dec     ebp
    jnz     1b
    jmp     next

fill:                                   // a table full of rubbish, pinned, used, and changed while it is
    call    own
    mov     r14, rax
    mov     rbx, BASE
    shl     rax, 12
    add     rbx, rax
    mov     ebp, 512
1:  call    random
    test    eax, 0x3000
    mov     eax, 0
    jnz     2f
    call    entry
2:  mov     [rbx], rax
    add     rbx, 8
    dec     ebp
    jnz     1b
    call    random
    mov     edi, eax
    and     edi, 3                      // PIN_L1 to PIN_L4
    mov     rax, r14
    call    extended
    call    random
    test    eax, 0x100
    jz      next
    mov     edi, 15
    mov     rax, r14
    call    extended
    jmp     next

instruction:
    call    registers
    mov     rax, [rip + seed]
    shr     rax, 13
    and     eax, 31
    lea     rbp, [rip + instructions]
    lea     rbp, [rbp + 8 * rax]
    jmp     rbp
.balign 8
instructions:
    .macro  TRY what:vararg
    .balign 8
    \what
    jmp     next
    .endm
    TRY     mov cr0, rax
    TRY     mov cr3, rcx
    TRY     mov cr4, rdx
    TRY     mov rax, cr3
    TRY     mov dr7, rsi
    TRY     mov dr0, rdi
    TRY     wrmsr
    TRY     rdmsr
    TRY     in al, dx
    TRY     out dx, eax
    TRY     rep insb
    TRY     hlt
    TRY     lgdt [rdi]
    TRY     lidt [rsp]
    TRY     lldt ax
    TRY     ltr cx
    TRY     invlpg [rdi]
    TRY     wbinvd
    TRY     swapgs
    TRY     sysretq
    TRY     cli
    TRY     sti
    TRY     xsetbv
    TRY     rdpmc
    TRY     int 0x80
    TRY     int3
    TRY     int 2
    TRY     int 8
    TRY     wrfsbase rax
    TRY     wrgsbase rcx
    TRY     sgdt [rsp]
    TRY     vmcall

user:                                   // iret to a program
    call    random
    test    eax, 0x70
    jnz     1f
    call    odd
    push    rax
    call    odd
    push    rax
    call    random
    push    rax
    call    odd
    push    rax
    call    place
    push    rax
    jmp     2f
1:  push    0x2b
    call    odd
    push    rax
    call    random
    and     eax, 0xffffff
    or      eax, 0x200
    push    rax
    push    0x33
    lea     rax, [rip + program]
    push    rax
2:  call    random
    push    rax
    call    odd
    push    rax
    push    rax
    push    rax
    mov     eax, 23
    syscall
    jmp     next
program:
    mov     rax, [rip + seed]
    shr     rax, 5
    syscall
    int     0x80
    mov     [rsp], rax
    ud2

segments:
    call    random
    mov     rsi, rax
    or      rsi, r12
    btr     rsi, 53
    call    own
    shl     rax, 12
    mov     rdi, rax
    push    rdi
    mov     eax, 10                     // update_descriptor
    syscall
    pop     rdi
    shr     rdi, 12
    mov     [rip + arguments], rdi
    lea     rdi, [rip + arguments]
    mov     esi, 512
    mov     eax, 2                      // set_gdt
    syscall
    call    random
    mov     edx, eax
    and     edx, 8191
    mov     edi, 13                     // SET_LDT
    lea     rax, [rip + tables]
    call    extended
    call    random
    and     eax, 3
    mov     edi, eax
    call    odd
    mov     rsi, rax
    mov     eax, 25
    syscall
    call    random
    mov     ds, eax
    shr     rax, 16
    mov     es, eax
    shr     rax, 16
    mov     fs, eax
    call    random
    mov     gs, eax
    call    random
    mov     ss, eax
    jmp     next

scribble:                               // over shared pages, then something that has them looked at
    mov     rbx, [rip + start_info]
    call    random
    test    eax, 0x10
    jz      1f
    lea     rbx, [rip + shared]
    test    eax, 0x20
    jz      1f
    mov     rax, [rip + start_info]
    mov     rbx, [rax + 72]             // console_mfn
    shl     rbx, 12
    mov     rax, BASE
    add     rbx, rax
1:  mov     ebp, 64
2:  call    random
    mov     r12, rax
    call    random
    and     eax, 0xff8
    mov     [rbx + rax], r12
    dec     ebp
    jnz     2b
    mov     rax, [rip + start_info]
    mov     eax, [rax + 80]             // console_evtchn
    mov     [rip + arguments], eax
    lea     rsi, [rip + arguments]
    mov     edi, 4
    mov     eax, 32
    syscall
    xor     edi, edi
    mov     eax, 17
    syscall
    jmp     next

states:
    call    odd
    mov     r12, rax
    call    random
    and     eax, 0x3fffff
    push    rax
    mov     eax, 17
    xor     edi, edi
    popfq
    mov     rsp, r12
    syscall
    ud2

callbacks:                              // and traps: to anywhere; then one of each
    call    place
    mov     r12, rax
    call    place
    mov     rsi, rax
    call    place
    mov     rdi, r12
    mov     rdx, rax
    mov     eax, 4
    syscall
    call    odd
    mov     rsi, rax
    mov     eax, 3
    syscall
    call    random
    and     eax, 31
    shl     eax, 4
    lea     rbx, [rip + traps]
    add     rbx, rax
    mov     r12, [rbx + 8]
    call    place
    mov     [rbx + 8], rax
    lea     rdi, [rip + traps]
    xor     eax, eax
    syscall
    mov     [rbx + 8], r12
    ud2

code:
    call    own
    shl     rax, 12
    mov     rbx, BASE
    add     rbx, rax
    mov     rdi, rbx
    mov     ebp, 512
1:  call    random
    mov     [rdi], rax
    mov     ecx, 8
2:  cmp     byte ptr [rdi], 0xcf
    jne     3f
    dec     byte ptr [rdi]
3:  inc     rdi
    loop    2b
    dec     ebp
    jnz     1b
    push    rbx
    call    registers
    ret

jump:
    call    place
    push    rax
    call    registers
    ret
vector:                                 // the shim's vectors, with its own stack pointer or any
    call    random
    and     eax, 0x7ff
    mov     rbx, 0xffff810000400000
    add     rbx, rax
    cmp     byte ptr [rbx], 0xcf
    je      next
    call    random
    test    eax, 0x100
    jz      1f
    mov     rsp, 0xffff810000080400
    test    eax, 0x200
    jz      1f
    add     rsp, 0x60
1:  mov     rcx, rsp
    mov     rax, [rip + seed]
    jmp     rbx
gadgets:                                // a kernel call by the shim
    call    registers
    mov     rax, [rip + seed]
    shr     rax, 17
    and     eax, 127
    cmp     eax, 127                    // kernels for tests have an audit there, which takes long
    je      next
    test    r8d, 0x40
    jz      1f
    mov     eax, 64
    and     r8d, 7
    or      eax, r8d
1:  jmp     qword ptr [rip + gadget]
write:
    mov     ebp, 8
1:  call    odd
    mov     rbx, rax
    call    random
    and     eax, 0xffff8
    add     rbx, rax
    call    random
    mov     [rbx], rax
    mov     rbx, 0xffff810000080400     // Guest in the vCPU page
    call    random
    mov     r12, rax
    call    random
    and     eax, 0x3f8
    mov     [rbx + rax], r12
    dec     ebp
    jnz     1b
    xor     edi, edi
    mov     eax, 17
    syscall
    jmp     next

// --- Numbers ----------------------------------------------------------------------------------
random:                                 // rax; changes rcx
    mov     rax, [rip + seed]
    mov     rcx, rax
    shl     rcx, 13
    xor     rax, rcx
    mov     rcx, rax
    shr     rcx, 7
    xor     rax, rcx
    mov     rcx, rax
    shl     rcx, 17
    xor     rax, rcx
    mov     [rip + seed], rax
    ret
odd:                                    // rax: an address, mostly; changes rcx
    call    random
    mov     rcx, rax
    shr     rcx, 30
    and     ecx, 15
    push    rdx
    lea     rdx, [rip + oddities]
    mov     rcx, [rdx + 8 * rcx]
    pop     rdx
    test    eax, 0x80
    jz      1f
    and     eax, 0x7f8
    add     rcx, rax
1:  mov     rax, rcx
    ret
place:                                  // rax: somewhere to go on; changes rcx, rdx
    call    odd
    mov     rdx, rax
    call    random
    and     eax, 0xfffff
    add     rax, rdx
    // Pages of random contents are for tables and data.
    lea     rdx, [rip + shared]
    cmp     rax, rdx
    jae     place
    mov     rdx, rax
    sar     rdx, 40
    cmp     rdx, 0xffffffffffffff81
    jne     1f
    cmp     byte ptr [rax], 0xcf        // if it is there at all; if not, that is a round, too
    je      place
1:  ret
frame:                                  // rax: any frame, mostly one for tables; changes rcx
    call    random
    test    eax, 0x700
    jnz     own
    shr     rax, 24
    and     eax, 2 * FRAMES - 1
    ret
own:                                    // rax: a frame for tables; changes rcx, rdx
    call    random
    shr     rax, 22
    and     eax, TABLES - 1
    lea     rcx, [rip + tables]
    mov     rdx, BASE
    sub     rcx, rdx
    shr     rcx, 12
    add     rax, rcx
    ret
entry:                                  // rax: an entry; changes rcx, rdx, r12
    call    frame
    shl     rax, 12
    mov     r12, rax
    call    random
    test    eax, 0x1000
    jz      1f
    mov     rax, 0x80000000000007ff
    and     rax, [rip + seed]
    or      rax, r12
    or      rax, 0x21
    ret
1:  or      rax, 1
    ret
registers:                              // all but rsp
    .irp    register, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    call    random
    mov     \register, rax
    .endr
    ret

// --- Calls --------------------------------------------------------------------------------------
extended:                               // edi: operation, rax and rdx: arguments; changes all but rbp, r12 to r15
    lea     rcx, [rip + arguments]
    mov     [rcx], edi
    mov     [rcx + 8], rax
    mov     [rcx + 16], rdx
    mov     rdi, rcx
    mov     esi, 1
    xor     edx, edx
    mov     r10d, 0x7ff0
    mov     eax, 26
    syscall
    ret
arm:                                    // a timer that fires at once
    mov     edi, 1
    mov     eax, 15
    syscall
    ret
setup:                                  // where everything comes back to
    lea     rdi, [rip + traps]
    xor     eax, eax
    syscall
    lea     rdi, [rip + recover]
    mov     rsi, rdi
    mov     rdx, rdi
    mov     eax, 4
    syscall
    mov     edi, 0xe02b
    lea     rsi, [rip + kernel_stack]
    mov     eax, 3
    syscall
    ret

.data
.balign 16
oddities:
    .quad   0, 0x7fffffffffff, 0x800000000000, 0xffff7fffffffffff
    .quad   0xffff800000000000, 0xffff80ffffffe000, 0xffff810000000000, 0xffff810000080400
    .quad   0xffff810000100000, 0xffff810000400000, 0xffff810100000000, 0xffff87fffffff000
    .quad   0xffff880000000000, tables, start, 0xfffffffffffff000
traps:
    .set    number, 0
    .rept   32
    .byte   number, 7
    .word   0xe033
    .long   0
    .quad   recover
    .set    number, number + 1
    .endr
    .byte   0x80, 7
    .word   0xe033
    .long   0
    .quad   recover
    .quad   0, 0
virq:       .long 0, 0, 0, 0
begins:     .ascii "attacks begin\n"
.balign 8
seed:       .quad 0
rounds:     .quad 0
start_info: .quad 0
gadget:     .quad 0

.bss
.balign 4096
shared:     .skip 4096
users_root: .skip 4096
tables:     .skip 4096 * TABLES
arguments:  .skip 4096
            .skip 8192
stack:      .skip 8192
kernel_stack:
            .skip 4096
