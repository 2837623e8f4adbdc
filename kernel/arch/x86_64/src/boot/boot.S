# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# From the loader to Rust. Names that end in _physical are made by the board's kernel.ld.
#
#   PVH: 32 bits, paging off, ebx = start info  ─► boot root, long mode ─► parzelle_main(start info)
#   another core: 16 bits, page TRAMPOLINE      ─► boot root, long mode ─► parzelle_secondary(block)
#
# The boot root maps the first 4 GiB twice: at 0, for the step into long mode, and at COMMON.

# Xen's note of type 18, PHYS32_ENTRY: eight bytes, as QEMU reads them.
.section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad parzelle_pvh_physical

.macro enable_long_mode
    movl ${CR4}, %eax
    movl %eax, %cr4
    movl $boot_root_physical, %eax
    movl %eax, %cr3
    movl ${EFER}, %ecx
    rdmsr
    orl ${EFER_BITS}, %eax
    wrmsr
    movl ${CR0}, %eax
    movl %eax, %cr0
.endm

# Fills `count` entries of the table at `at`: the first is `entry`, each next one `step` more.
.macro fill at, entry, step, count
    movl $\at, %edi
    movl $\entry, %eax
    movl $\count, %ecx
1:  movl %eax, (%edi)
    addl $\step, %eax
    addl $8, %edi
    loop 1b
.endm

.section .text.boot, "ax"
.code32
.global parzelle_pvh
parzelle_pvh:
    cli
    cld
    # The loader has cleared bss already; it costs little not to rely on it.
    xorl %eax, %eax
    movl $__bss_physical, %edi
    movl $__bss_words, %ecx
    rep stosl
    movl $boot_stack_physical, %esp
    movl %ebx, %esi

    # Long mode and execute-disable, or silence: there is no console yet.
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb boot_stop
    movl $0x80000001, %eax
    cpuid
    andl $0x20100000, %edx
    cmpl $0x20100000, %edx
    jne boot_stop

    movl $boot_pointers_physical + 3, %eax
    movl %eax, boot_root_physical
    movl %eax, boot_root_physical + 256 * 8
    fill boot_pointers_physical, boot_directories_physical + 3, 4096, 4
    fill boot_directories_physical, 0x83, 0x200000, 2048

    enable_long_mode
    lgdtl boot_gdt_pointer_physical
    ljmpl $8, $boot_long_physical
boot_stop:
    hlt
    jmp boot_stop

# No segment but the stack's matters in long mode, until Rust sets them up.
.code64
.global boot_long
boot_long:
    movabsq $boot_high, %rax
    jmpq *%rax
boot_high:
    movl $16, %eax
    movl %eax, %ss
    leaq boot_stack(%rip), %rsp
    movl %esi, %edi
    xorl %ebp, %ebp
    call parzelle_main
    ud2

.section .rodata.boot, "a"
.balign 8
.global boot_gdt
boot_gdt:
    .quad 0, {CODE}, {DATA}
.global boot_gdt_pointer
boot_gdt_pointer:
    .word 23
    .long boot_gdt_physical

# --- Copied to TRAMPOLINE, with the word at its end filled in --------------------------------
.balign 16
.global parzelle_trampoline
parzelle_trampoline:
.code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl trampoline_pointer - parzelle_trampoline
    enable_long_mode
    ljmpl $8, ${TRAMPOLINE} + trampoline_long - parzelle_trampoline
.code64
trampoline_long:
    movl $16, %eax
    movl %eax, %ss
    xorl %ebp, %ebp
    movq parzelle_trampoline_block(%rip), %rdi
    movabsq $boot_second, %rax
    jmpq *%rax
trampoline_pointer:
    .word 23
    .long boot_gdt_physical
.balign 8
.global parzelle_trampoline_block
parzelle_trampoline_block:
    .quad 0
.global parzelle_trampoline_end
parzelle_trampoline_end:

.section .text.boot, "ax"
boot_second:
    movq {STACK_TOP}(%rdi), %rsp
    call parzelle_secondary
    ud2

.section .bss.boot, "aw", @nobits
.balign 4096
.global boot_root
boot_root:
    .skip 4096
.global boot_pointers
boot_pointers:
    .skip 4096
.global boot_directories
boot_directories:
    .skip 4 * 4096
    .skip 32768
.global boot_stack
boot_stack:
