// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Every table of the language with its keys, and an example value of each.
//!
//! One list serves four uses: unknown keys (PZ0002), the line to add for a missing one (PZ0008),
//! the likely unit of a bare number (PZ0005), and the table that a misplaced key belongs to.

/// A key: its name and an example of its value, as TOML.
#[derive(Debug)]
pub struct KeyInfo {
    /// The key.
    pub name: &'static str,
    /// A value that would be valid.
    pub example: &'static str,
}

/// A kind of table.
#[derive(Debug)]
pub struct Kind {
    /// What it is called in sentences: "this {title}".
    pub title: &'static str,
    /// How its head looks.
    pub head: &'static str,
    /// What it may hold; empty for tables with free keys.
    pub keys: &'static [KeyInfo],
}

impl Kind {
    /// An example of a key's value.
    pub fn example(&self, key: &str) -> &'static str {
        self.keys.iter().find(|k| k.name == key).map_or("…", |k| k.example)
    }
}

macro_rules! kind {
    ($(#[$doc:meta])* $id:ident $title:literal $head:literal { $($key:literal $example:literal)* }) => {
        $(#[$doc])*
        pub static $id: Kind = Kind {
            title: $title,
            head: $head,
            keys: &[$(KeyInfo { name: $key, example: $example }),*],
        };
    };
}

kind! {
    /// The whole file.
    FILE "file" "the top level" {
        "system" "{}" "partition" "{}" "schedule" "{}" "sampling" "{}" "queuing" "{}" "shared" "{}"
        "disk" "{}" "network" "{}" "console" "{}" "device" "{}" "health" "{}" "board" "{}"
    }
}
kind! {
    /// `[board.NAME]`: what differs on one board.
    OVERRIDE "override" "[board.NAME]" {
        "option" "{ gic = 3 }" "without" "[\"debian\"]" "system" "{}" "partition" "{}" "schedule" "{}"
        "sampling" "{}" "queuing" "{}" "shared" "{}" "disk" "{}" "network" "{}" "console" "{}"
        "device" "{}" "health" "{}"
    }
}
kind! {
    /// `[system]`.
    SYSTEM "system" "[system]" {
        "boards" "[\"qemu-virt-aarch64\"]" "name" "\"my-system\"" "schedule" "\"main\""
        "start-order" "[]" "trace" "\"64KiB\""
    }
}
kind! {
    /// `[partition.NAME]`.
    PARTITION "partition" "[partition.NAME]" {
        "crate" "\"hello\"" "elf" "\"build/{arch}/hello.elf\"" "c" "\"apps/hello\"" "guest" "{}"
        "features" "[]" "config" "{}" "memory" "\"256MiB\"" "stack" "\"64KiB\"" "cores" "[0]"
        "time-partition" "\"main\"" "priority" "100" "promise" "\"1ms/10ms\"" "limit" "\"1ms/10ms\""
        "health" "\"restart\"" "start" "\"auto\"" "may" "{}" "devices" "[\"uart0\"]"
        "dma" "\"trusted\"" "dma-memory" "\"64KiB\"" "physical" "0x4800_0000" "fp" "true"
        "process" "{}"
    }
}
kind! {
    /// `[partition.NAME.guest]`.
    GUEST "guest" "[partition.NAME.guest]" {
        "kernel" "\"vmlinuz\"" "initrd" "\"initrd.img\"" "cmdline" "\"quiet\"" "page-tables" "\"4MiB\""
        "tune" "true"
    }
}
kind! {
    /// `partition.NAME.may`.
    MAY "table of rights" "partition.NAME.may" {
        "switch-schedule" "[\"main\"]" "start-stop" "[\"NAME\"]" "statistics" "[\"*\"]"
        "trace" "[\"*\"]" "module" "[\"reset\"]"
    }
}
kind! {
    /// `[schedule.NAME]`.
    SCHEDULE "schedule" "[schedule.NAME]" { "frame" "\"10ms\"" "core" "{}" "change-action" "{}" }
}
kind! {
    /// A window.
    WINDOW "window" "an entry of core.N" {
        "run" "\"NAME\"" "start" "\"0ms\"" "duration" "\"1ms\"" "period" "\"10ms\""
        "slack" "false" "flush" "true" "pad" "\"50us\""
    }
}
kind! {
    /// `[sampling.NAME]`.
    SAMPLING "sampling channel" "[sampling.NAME]" {
        "from" "\"NAME\"" "to" "[\"NAME\"]" "message-size" "\"64B\"" "refresh-period" "\"20ms\""
    }
}
kind! {
    /// `[queuing.NAME]`.
    QUEUING "queuing channel" "[queuing.NAME]" {
        "from" "\"NAME\"" "to" "\"NAME\"" "message-size" "\"64B\"" "max-messages" "8"
    }
}
kind! {
    /// `[shared.NAME]`.
    SHARED "shared memory" "[shared.NAME]" {
        "size" "\"64KiB\"" "writers" "[\"NAME\"]" "readers" "[\"NAME\"]" "physical" "0x4800_0000"
    }
}
kind! {
    /// `[console.NAME]`.
    CONSOLE "console" "[console.NAME]" { "device" "\"uart0\"" "members" "[\"*\"]" }
}
kind! {
    /// `[disk.NAME]`.
    DISK "disk" "[disk.NAME]" {
        "device" "\"disk0\"" "gpt" "\"root\"" "range" "\"0x0+1GiB\"" "writers" "[\"NAME\"]" "readers" "[\"NAME\"]"
        "size" "\"1GiB\"" "content" "\"root.ext4\""
    }
}
kind! {
    /// `[network.NAME]`.
    NETWORK "network" "[network.NAME]" {
        "device" "\"nic0\"" "driver" "\"net\"" "members" "[\"NAME\"]" "vlan" "20" "mac" "{}"
    }
}
kind! {
    /// `network.NAME.mac`: keys are ends.
    MAC "table of addresses" "network.NAME.mac" {}
}
kind! {
    /// `[device.NAME]`.
    DEVICE "device" "[device.NAME]" {
        "class" "\"other\"" "pci" "\"00:05.0\"" "id" "\"1234:11e8\"" "bars" "{}" "msix" "{}" "quiesce" "{}"
        "registers" "[\"0x0900_0000+4KiB\"]" "ports" "[\"0x3f8+8\"]" "interrupts" "[33]" "trigger" "\"level\""
        "dma" "\"none\"" "qemu" "\"edu\"" "kernel" "true"
    }
}
kind! {
    /// `device.NAME.bars`.
    BARS "table of base address registers" "device.NAME.bars" {
        "0" "\"4KiB\"" "1" "\"4KiB\"" "2" "\"4KiB\"" "3" "\"4KiB\"" "4" "\"16KiB\"" "5" "\"4KiB\""
    }
}
kind! {
    /// `device.NAME.quiesce`.
    QUIESCE "silencing write" "device.NAME.quiesce" { "bar" "4" "at" "0x14" "width" "1" "value" "0" }
}
kind! {
    /// `device.NAME.msix`.
    MSIX "table of message interrupts" "device.NAME.msix" { "capability" "0x98" "bar" "1" "table" "0" "vectors" "2" }
}
kind! {
    /// `[health.NAME]`.
    HEALTH "health table" "[health.NAME]" {
        "deadline-missed" "\"log\"" "application-error" "\"warm-start\"" "numeric-error" "\"warm-start\""
        "illegal-request" "\"warm-start\"" "stack-overflow" "\"cold-start\"" "memory-violation" "\"warm-start\""
        "hardware-fault" "\"stop\"" "power-fail" "\"stop\"" "otherwise" "\"stop\"" "restarts" "\"5/10s\""
        "give-up" "\"stop\""
    }
}
kind! {
    /// A board's file.
    BOARD "board" "board.toml" {
        "arch" "\"aarch64\"" "cores" "4" "ram" "[\"0x4000_0000+1GiB\"]" "reserved" "[]" "iommu" "\"smmuv3\""
        "tick" "\"1us\"" "shortest-window" "\"100us\"" "console" "\"uart0\"" "option" "{}" "kernel" "{}"
        "irqchip" "{}" "buses" "{}" "run" "{}" "device" "{}"
    }
}
kind! {
    /// `[buses.NAME]` of a board.
    BUS "bus" "[buses.NAME]" {
        "number" "0" "configuration" "\"0xb000_0000+256MiB\"" "memory" "\"0xe000_0000+256MiB\"" "taken" "[\"00:00\"]"
    }
}
kind! {
    /// `[kernel]` of a board.
    KERNEL "kernel's table" "[kernel]" { "load" "0x4020_0000" }
}
kind! {
    /// `[run]` of a board.
    RUN "emulator's table" "[run]" { "command" "\"qemu-system-aarch64\"" "arguments" "[]" }
}

/// All kinds in which a user may look for a key.
pub static ALL: [&Kind; 13] = [
    &SYSTEM, &PARTITION, &GUEST, &MAY, &SCHEDULE, &WINDOW, &SAMPLING, &QUEUING, &SHARED, &CONSOLE, &DISK, &NETWORK,
    &DEVICE,
];
