// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The table of rules: what is proved, and why.
//!
//! The rule says what must hold; the labels of a finding point first at the fault, then at its
//! counterpart. The wrong file of each rule is `tests/rejects/<code>.toml`.

use std::fmt;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// `PZ` and four digits; never used again for another rule.
    pub code: &'static str,
    /// What is proved.
    pub rule: &'static str,
    /// Why it is a rule.
    pub why: &'static str,
    /// The fault and its counterpart.
    pub labels: &'static str,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\n", self.code, self.rule)?;
        writeln!(f, "Why:    {}", self.why)?;
        writeln!(f, "Labels: {}", self.labels)?;
        write!(f, "A wrong file and what is said about it: tests/rejects/{}.toml", self.code)
    }
}

/// The rule of a code; upper and lower case are the same.
pub fn rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.code.eq_ignore_ascii_case(code))
}

macro_rules! rules {
    ($($code:literal $rule:literal $why:literal $labels:literal)*) => {
        /// All rules that are implemented, by code.
        pub static RULES: [Rule; [$($code),*].len()] =
            [$(Rule { code: $code, rule: $rule, why: $why, labels: $labels }),*];
    };
}

rules! {
"PZ0001" "The file is TOML." "Nothing can be said about a file whose form is unclear." "where reading stopped · the bracket or quote that was opened"
"PZ0002" "Every key and table is known." "A misspelt key would silently have no effect." "the key · the head of its table"
"PZ0003" "No key is given twice." "One of the two would silently lose." "the second · the first"
"PZ0004" "The value has the type that the key wants." "No key has two types, so there is nothing to guess." "the value · the key"
"PZ0005" "Times and sizes are strings with a unit." "A bare number would be a guess: 10 what?" "the number · the head of the table"
"PZ0006" "The unit exists." "`MB` may mean 10^6 or 2^20; here only `MiB` is spelt out." "the unit · the key"
"PZ0007" "The number lies in its range, the word is one of those that are possible." "A zero size or a priority of 300 means nothing." "the value · the key"
"PZ0008" "Required keys are there." "A requirement is never derived; only its author knows it." "the head of the table · the first use"
"PZ0009" "Names are of a-z, 0-9 and `-`, at most 30 bytes; ports may also have A-Z and `_`." "Names appear in images, logs and programs; ARINC 653's have 30 bytes." "the name"
"PZ0010" "(warning) An override changes something." "It suggests a difference between boards that does not exist." "the override · the same value in the common part"
"PZ0011" "An override is for a board in `boards`." "It would never be read." "the head of the override · `boards`"
"PZ0012" "What is described can be built by this version." "Parts of the language come later; ignoring them would build another system than the one described." "the key or table"
"PZ0101" "Partitions and time partitions that are not meant to be the same have different names." "A partition called like a time partition would get its windows by accident." "the `time-partition` · the partition of that name"
"PZ0102" "A partition that is named exists." "A relation to nobody is a slip." "the name · the most similar partition"
"PZ0103" "A schedule that is named exists." "A switch to nowhere is a slip." "the name · the most similar schedule"
"PZ0104" "A health table that is named exists." "Errors would be handled by nobody." "the name · the most similar table"
"PZ0105" "A device that is named exists, on every board of the file." "One file holds for all its boards." "the name · the board file that lacks it"
"PZ0106" "A board that is named exists." "Nothing can be proved for an unknown board." "the name"
"PZ0107" "Reserved names (`default`, `module`, `*`, `0`) mean only themselves." "A second meaning would confuse every reader." "the name · the place that gives it its meaning"
"PZ0108" "In one partition no two links give a port the same name." "A program opens ports by name." "the second link's end · the first link's end"
"PZ0109" "(warning) What is declared is used." "It is probably missing where it should be used." "the declaration · the most similar name that is used"
"PZ0201" "Files exist." "An image can't contain what is not there." "the path · the board, if only one lacks it"
"PZ0202" "The crate is in the workspace of the file or comes with Parzelle, and has one program." "A partition runs one program." "the name · the head of the partition"
"PZ0203" "A program is for the architecture of each board." "It would fault at its first instruction." "the path · the board"
"PZ0204" "A partition runs exactly one of `crate`, `elf`, `c`, `guest`." "One partition, one program: that is the fence." "the second of them · the first"
"PZ0205" "A program was built against this revision of the kernel interface." "Calls and the vCPU page would not mean the same on both sides." "the program · the kernel's revision"
"PZ0206" "No segment of a program is writable and executable." "Written data must never run." "the program · the head of the partition"
"PZ0207" "Segments don't overlap; the entry lies in an executable one." "Otherwise the program is damaged as it is loaded." "the program · the head of the partition"
"PZ0208" "A core that is named is on every board." "A vCPU is fixed to its core." "the core · `cores` of the board"
"PZ0209" "A board option and its value exist." "It would silently have no effect." "the option · the options of the board"
"PZ0210" "The metadata of a crate have known keys and possible values." "A stack or heap with a slip would silently get its default." "the name of the crate"
"PZ0211" "(warning) A system has a partition." "Nothing would run." "the head of the system"
"PZ0301" "Everything together fits the board's RAM." "Nothing is swapped, nothing is overcommitted." "the largest consumer · `ram` of the board"
"PZ0302" "Program and stacks fit `memory`." "The loader could not place them." "`memory` · the program, with its size"
"PZ0303" "No two physical ranges overlap." "Memory belongs to one, or is declared shared." "the second · the first"
"PZ0304" "A physical range lies in RAM and outside of kernel and firmware." "The kernel would refuse the plan at boot." "the range · the board's range that it misses or hits"
"PZ0305" "Addresses and sizes are multiples of the page." "The hardware's fence is made of pages." "the value · the key"
"PZ0306" "Kernel and initrd fit the guest's memory." "The shim could not load them." "`memory` of the guest · `initrd`"
"PZ0307" "The table pool can map the guest's memory." "The guest would run out of tables as it starts." "`page-tables` · `memory`"
"PZ0308" "The stack is at least what the program asks for." "The program's author measured it." "`stack` · the program"
"PZ0309" "`dma-memory` is a part of `memory`." "Devices reach nothing outside of the partition." "`dma-memory` · `memory`"
"PZ0310" "A program's own addresses don't meet what the tool maps for it." "Two things can't be at one address." "the program · what is mapped there"
"PZ0401" "Windows end within the frame." "The next frame begins then." "the window · `frame`"
"PZ0402" "Windows on one core don't overlap, repetitions included." "A core does one thing at a time." "the second · the first, or its `period`"
"PZ0403" "A window's period divides the frame." "Frames are all alike." "`period` · `frame`"
"PZ0404" "A window is not shorter than the board allows." "Most of it would go into switching." "`duration` · `shortest-window` of the board"
"PZ0405" "Where a window starts and ends is clear: after one without `duration` comes one with `start`." "Each would wait for the other." "the window without `start` · the one without `duration`"
"PZ0406" "With several schedules, the first is named." "Order in the file means nothing." "the head of the second · the head of the first"
"PZ0407" "Windows give every partition what it is promised, in every schedule that runs it." "A promise is a requirement: it is proved, in the worst stretch of one period." "`promise` · a window with its gap"
"PZ0408" "Nothing in time partition 0 can take a promised time away without limit." "A higher priority there goes before every window." "`priority` · `promise`"
"PZ0409" "A partition's cores follow from its windows: the same in every schedule." "A vCPU does not move between cores." "the window that differs · the first window"
"PZ0410" "A window is on a core where its partition has a vCPU." "Nobody could run in it." "the window · `cores`"
"PZ0411" "Every vCPU can run in some schedule." "It would be created and never run." "the entry of `cores` · a window of the partition"
"PZ0412" "`promise` goes with windows, `limit` with time partition 0." "Windows are limited already; without windows nothing is promised." "the key · the window, or the partition without one"
"PZ0413" "A change action is for a partition that the schedule runs." "It would act on a partition that is stopped." "the entry · the head of the schedule"
"PZ0414" "A time partition that partitions name has a window." "They would never run." "`time-partition` · the list of windows"
"PZ0415" "(warning) From each schedule a running partition can switch to another." "The system would stay there for ever." "the head of the schedule · the right"
"PZ0416" "Times are multiples of the board's timer tick." "The timer can't be set more exactly." "the time · the tick of the board"
"PZ0417" "(warning) A driver in time partition 0 is not behind its clients there." "A busy client would keep its own driver from running." "`priority` of the client · the link"
"PZ0418" "(warning) Something is left on a core for those of time partition 0." "They would only run when a window's partition waits." "the last window · the partition"
"PZ0419" "(warning) Windows of one partition on several cores start together." "Its vCPUs would wait for each other." "the window · its counterpart"
"PZ0420" "A `pad` is shorter than its window." "Programs start so long after the window does; nothing would be left for them." "`pad` · `duration`"
"PZ0421" "(warning) A window that begins with a flush has a `pad`." "A flush takes longer, the more of the caches was written to: without a pad the start tells what ran before, and may count as missed." "`flush` · the window"
"PZ0601" "A link joins different partitions." "Within one, a variable does." "the destination · `from`"
"PZ0602" "A link has both ends." "A message to nobody is a slip." "the empty list · the head of the link"
"PZ0603" "No partition is twice at one end." "It would get each message twice." "the second · the first"
"PZ0605" "(warning) A sampling message does not expire before the next can be written." "It would be INVALID for a part of each period, whatever happens." "`refresh-period` · the writer's window"
"PZ0606" "(warning) Writer and reader run in a common schedule." "The one would always be stopped while the other runs." "the destination · the schedule that lacks it"
"PZ0607" "Ports are for native partitions: a guest cannot open them." "An operating system knows networks, disks and consoles." "the guest's name · its `guest`"
"PZ0608" "Nobody is both writer and reader of shared memory." "Writers read too." "the reader · the writer"
"PZ0609" "(warning) Shared memory is shared." "A partition has memory of its own." "the only partition · the head"
"PZ0701" "A device has one owner." "Two drivers would disturb each other; sharing is the owner's task." "the second · the first"
"PZ0702" "An interrupt line leads to one partition." "The one could keep the other from its interrupts." "the second device · the first"
"PZ0703" "Registers of devices with different owners lie on different pages." "The fence is made of pages." "the second device · the first"
"PZ0704" "No bus master without IOMMU, unless trusted." "By DMA its owner could reach all memory." "the device · `dma` of the device"
"PZ0705" "(warning) Nobody is trusted who need not be." "`grep trusted` finds the holes in the fence, and only those." "`dma = \"trusted\"` · `iommu` of the board"
"PZ0706" "A bus master behind the IOMMU has memory to reach." "It could not do anything: all that it reaches is the `dma-memory` of its owner, and what its owner shares with clients." "the device · the head of the partition"
"PZ0707" "PCI functions that the IOMMU can't tell apart have one owner." "Functions of one device may reach each other without asking it." "the second · the first"
"PZ0708" "A device of the kernel is not given away." "Who owns the timer or the interrupt controller owns the machine." "the device · the board's entry"
"PZ0709" "A PCI address exists on the board, and is free." "Two devices can't be in one slot." "`pci` · the buses of the board, or who is there"
"PZ0710" "On x86-64 a partition has at most 256 I/O ports." "The kernel opens them with interrupts masked, whenever it switches to the partition." "the device · its ports"
"PZ0801" "The device that is shared has an owner." "Somebody has to drive it." "`device` · a fitting partition, or the board's entry"
"PZ0802" "The owner's program serves this kind, and its device is of that kind." "Its clients would wait for ever." "`device` · the owner's `crate`"
"PZ0803" "Disks on one device don't overlap." "What one writes would change another's." "the second · the first"
"PZ0804" "(warning) A disk has at most one writer." "Most file systems are damaged by a second one." "the second writer · the first"
"PZ0805" "The content fits the size." "Its end would be lost." "`content`, with its size · `size`"
"PZ0806" "Addresses are unicast and different within a network." "A frame would come to nobody, or to two." "the address · the port, or the first of that address"
"PZ0807" "A VLAN belongs to one network of its device." "The two networks would be one." "the second · the first"
"PZ0808" "A network has a device or a driver; with both, the driver owns the device." "Somebody has to pass its frames on." "the head of the network · the partition that could serve it"
"PZ0809" "(warning) A guest's `root=` is one of its disks." "Its kernel would wait for the disk, or panic." "`cmdline` · a disk of the guest"
"PZ0810" "(warning) A guest has a console." "Nobody would see what it prints." "the guest · the members of the console"
"PZ0811" "(warning) A driver runs in every schedule in which a client of its runs." "Its clients would wait until the schedule changes." "the head of the schedule · the link"
"PZ0901" "Errors and actions are known." "An error would be handled otherwise than meant." "the word · the head of the table"
"PZ0902" "An error after which the program can't go on is not ignored." "It would meet the same error at once, for ever." "the action · the error"
"PZ0903" "`process` is for partitions that can have an error handler." "A guest and the module have none." "the action · who uses the table"
"PZ0904" "(warning) Giving up ends: it does not restart what keeps failing." "The limit of restarts would mean nothing." "`give-up` · `restarts`"
"PZ0905" "A right names something other than its holder." "Everybody may restart itself." "the name · the head of the partition"
"PZ0906" "A partition that starts idle can be started by someone." "It would never run." "`start = \"idle\"` · the first `may` of the file"
"PZ0907" "A partition is at most once in `start-order`." "It starts once." "the second · the first"
"PZ0908" "Nobody waits for a partition that never becomes NORMAL." "Those behind it would never start." "the entry · the reason"
"PZ1001" "The kernel is one that the shim can boot." "The shim loads an arm64 `Image` as it is; on x86-64, where guests run in user mode, it needs an entry for Xen's paravirtualised guests (`CONFIG_XEN_PV`), which the notes of the ELF file in a bzImage name." "the path · the board"
"PZ1002" "The guest has at least the memory that its kernel says it needs." "It would overwrite itself as it starts." "`memory` · `kernel`"
"PZ1003" "(warning) Drivers for a guest's disks and networks are in its kernel, or there is an initrd." "Distributions build them as modules: without an initrd the kernel can't even read them." "the disk or network · `kernel`"
"PZ1004" "The command line is not longer than the kernel accepts." "Its end would be cut off silently." "`cmdline` · `kernel`"
}
