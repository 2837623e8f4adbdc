// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The files outside of `kernel/arch` and `bsp` that may contain unsafe code, and why each has to.
//!
//! A file that ends in `/` stands for all below it. Whoever adds a line here has to say what safe
//! interface the file puts around its unsafe code.

/// File, and what it wraps.
const LIST: [(&str, &str); 37] = [
    ("partitions/sys/", "the instruction of a kernel call, the counter"),
    ("partitions/rt/src/arch/", "entry and upcall stubs in assembly"),
    ("partitions/rt/src/call.rs", "kernel calls that take numbers only, so that safe code may make them"),
    ("partitions/rt/src/device.rs", "registers and shared memory that the tool mapped, as volatile ranges"),
    ("partitions/rt/src/heap.rs", "a global allocator over the partition's own heap"),
    ("partitions/rt/src/lib.rs", "the section that survives a warm restart"),
    ("partitions/rt/src/link.rs", "the areas of links that the tool mapped, as volatile ranges"),
    ("partitions/rt/src/logger.rs", "the log ring that the tool mapped, as a volatile range"),
    ("partitions/rt/src/mem.rs", "volatile access to a range, checked against its bounds"),
    ("partitions/rt/src/once.rs", "a static that is handed out once"),
    ("partitions/rt/src/partition.rs", "the information pages that the tool mapped, as a slice"),
    ("partitions/rt/src/start.rs", "the symbols between the entry and the program"),
    ("partitions/rt/src/upcall.rs", "registering a handler, and the frame that it is handed"),
    ("partitions/rt/src/vcpu.rs", "the vCPU page as a volatile range, starting a vCPU at a frame"),
    ("partitions/console/src/uart/ns16550.rs", "port input and output, which the task segment's bitmap fences"),
    ("partitions/console/src/lib.rs", "a ring on the heap, in a test"),
    ("partitions/drivers/virtio/src/device.rs", "registers that the tool mapped, handed to a library"),
    ("partitions/drivers/virtio/src/pci.rs", "the same for registers of PCI functions; a trait that is unsafe to have"),
    ("partitions/drivers/virtio/src/queue.rs", "a queue on the heap, in a test"),
    ("partitions/loader/src/arch.rs", "the first instructions and the jump to the program"),
    ("partitions/loader/src/", "fills the memory that its program then takes for its own"),
    ("paravirt-linux-shim/aarch64/src/cache.rs", "cache maintenance by address, which faults where nothing is mapped"),
    ("paravirt-linux-shim/aarch64/src/files.rs", "the guest's memory and files that the tool mapped, as slices"),
    ("paravirt-linux-shim/aarch64/src/frame.rs", "frames of the guest's memory as atomics, checked against its bounds"),
    ("paravirt-linux-shim/aarch64/src/vcpu.rs", "the call that runs a guest, and its context in the vCPU page"),
    (
        "paravirt-linux-shim/x86_64/src/calls.rs",
        "kernel calls on the guest's own tables, and its queue in the vCPU page",
    ),
    ("paravirt-linux-shim/x86_64/src/files.rs", "the guest's memory and files that the tool mapped, as ranges"),
    ("paravirt-linux-shim/x86_64/src/guarded.rs", "copies by addresses of the guest's, where a fault is an error"),
    ("paravirt-linux-shim/x86_64/src/instructions.rs", "bases of FS and GS, which the shim itself doesn't use"),
    ("paravirt-linux-shim/x86_64/src/memory.rs", "the same copies, for addresses that are checked to be the guest's"),
    ("paravirt-linux-shim/x86_64/src/ram.rs", "frames of the guest's memory as atomics, checked against its bounds"),
    (
        "paravirt-linux-shim/x86_64/src/run.rs",
        "asking for events, and the way into the guest for a vCPU that is complete",
    ),
    ("paravirt-linux-shim/x86_64/src/space.rs", "single words by addresses that are checked to be the guest's"),
    ("paravirt-linux-shim/x86_64/src/vcpu.rs", "the guest's registers in the vCPU page"),
    ("paravirt-linux-shim/x86_64/src/vectors.rs", "the symbols and the assembly between the guest and the shim"),
    // Tests do on purpose what a program should not be able to do.
    ("tests/partitions/", "attacks, faults on purpose, and threads on bare frames"),
    ("tests/guest/", "Linux's services, attacks and faults on purpose, from inside a guest"),
];

/// Why a file may contain unsafe code, if it may.
pub(super) fn why(file: &str) -> Option<&'static str> {
    let entry = LIST.iter().find(|(name, _)| if name.ends_with('/') { file.starts_with(name) } else { file == *name });
    entry.map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_covers_its_files() {
        assert!(why("partitions/sys/src/lib.rs").is_some());
        assert!(why("kernel/core/src/lib.rs").is_none());
    }
}
