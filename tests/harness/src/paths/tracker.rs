// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From lines of the trace to paths.
//!
//! A line says that QEMU is about to execute an instruction. Twice it doesn't: when the core's turn
//! is over first (the next line says `Stopped`), and when an access to a device has to be done once
//! more, on its own (the next line names the same instruction, with the flag for that). So each line
//! waits for the next.

use super::kernel::{Entry, Kernel};

/// A path through the kernel that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The core, by QEMU's number: the boot core is 0.
    pub core: usize,
    /// By what the kernel was entered.
    pub entry: Entry,
    /// How many instructions all cores together had executed in the kernel when it began: sets the
    /// paths of several cores in order.
    pub begun: u64,
    /// Instructions executed in the kernel, from the entry's first to the return's.
    pub instructions: u64,
}

/// Follows a trace.
#[derive(Debug)]
pub struct Tracker {
    kernel: Kernel,
    /// The path that each core is on.
    cores: Vec<Option<Path>>,
    /// What was announced last.
    announced: Option<Step>,
    /// Instructions so far.
    count: u64,
}

/// An instruction that is about to be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    core: usize,
    pc: u64,
    /// Whether it is an access to a device, done on its own.
    device: bool,
}

/// `CF_LAST_IO` in QEMU 7.2 (include/exec/exec-all.h).
const LAST_IO: u64 = 0x8000;
/// No board has more cores than this.
const CORES: usize = 64;

impl Tracker {
    /// At the begin of a trace.
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, cores: Vec::new(), announced: None, count: 0 }
    }

    /// Takes a line; `false` if it is none of a trace.
    pub fn take(&mut self, line: &[u8], listen: &mut impl FnMut(Path)) -> bool {
        if let Some(step) = parse(line) {
            let again = |old: Step| step.device && !old.device && (old.core, old.pc) == (step.core, step.pc);
            match self.announced.replace(step) {
                Some(old) if !again(old) => self.step(old, listen),
                _ => {}
            }
            return true;
        }
        if line.starts_with(b"Stopped execution") {
            self.announced = None;
            return true;
        }
        false
    }

    /// Ends the trace: what is under way is over.
    pub fn end(mut self, listen: &mut impl FnMut(Path)) {
        if let Some(step) = self.announced.take() {
            self.step(step, listen);
        }
        self.cores.into_iter().flatten().for_each(listen);
    }

    /// An instruction was executed.
    fn step(&mut self, Step { core, pc, .. }: Step, listen: &mut impl FnMut(Path)) {
        if core >= CORES {
            return;
        }
        if self.cores.len() <= core {
            self.cores.resize(core + 1, None);
        }
        let Some(path) = self.cores.get_mut(core) else {
            return;
        };
        if let Some(entry) = self.kernel.entry(pc) {
            let begun = Path { core, entry, begun: self.count, instructions: 0 };
            path.replace(begun).into_iter().for_each(&mut *listen);
        }
        self.count += 1;
        // A core that has not entered yet boots.
        if let Some(current) = path {
            current.instructions += 1;
            if self.kernel.is_other(pc) {
                current.entry = Entry::Fault;
            }
            if self.kernel.sleeps(pc) {
                listen(*current);
                *path = Some(Path { core, entry: Entry::Wake, begun: self.count, instructions: 0 });
            }
        }
    }
}

/// Reads `Trace 0: 0x7f0000000100 [0000000000000000/0000000040200abc/00000051/ff021201] symbol`.
fn parse(line: &[u8]) -> Option<Step> {
    let line = std::str::from_utf8(line.strip_prefix(b"Trace ")?).ok()?;
    let (core, rest) = line.split_once(':')?;
    let (_, rest) = rest.split_once('[')?;
    let (fields, _) = rest.split_once(']')?;
    let mut fields = fields.split('/').skip(1);
    let pc = u64::from_str_radix(fields.next()?, 16).ok()?;
    let flags = fields.nth(1).and_then(|flags| u64::from_str_radix(flags, 16).ok());
    Some(Step { core: core.trim().parse().ok()?, pc, device: flags.is_some_and(|flags| flags & LAST_IO != 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths as (core, entry, instructions) of steps (core, address).
    fn paths(kernel: Kernel, lines: &[String]) -> Vec<(usize, Entry, u64)> {
        let mut tracker = Tracker::new(kernel);
        let mut found = Vec::new();
        let mut listen = |path: Path| found.push((path.core, path.entry, path.instructions));
        for line in lines {
            assert!(tracker.take(line.as_bytes(), &mut listen), "{line}");
        }
        tracker.end(&mut listen);
        found
    }

    fn line(core: usize, pc: u64) -> String {
        format!("Trace {core}: 0x7f0000000100 [0000000000000000/{pc:016x}/00000051/ff000201] \n")
    }

    #[test]
    fn cores_are_told_apart() {
        let steps = [(0, 0x1000), (0, 0x1c80), (1, 0x1c00), (0, 0x1004), (1, 0x1200), (0, 0x1c00), (0, 0x1008)];
        let lines: Vec<_> = steps.iter().map(|&(core, pc)| line(core, pc)).collect();
        let expected = [(0, Entry::Interrupt, 2), (0, Entry::Call, 2), (1, Entry::Fault, 2)];
        assert_eq!(paths(Kernel::aarch64(), &lines), expected);
    }

    #[test]
    fn a_sleep_ends_one_path_and_begins_another() {
        let lines = [0x1c00, 0x10fc, 0x1100, 0x1104, 0x1108].map(|pc| line(0, pc));
        assert_eq!(paths(Kernel::aarch64(), &lines), [(0, Entry::Call, 3), (0, Entry::Wake, 2)]);
    }

    #[test]
    fn what_is_announced_twice_counts_once() {
        let device = line(0, 0x1044).replace("ff000201", "ff008201");
        let stopped = "Stopped execution of TB chain before 0x7f [0000000000001048] \n".to_owned();
        let lines =
            [line(0, 0x1040), line(0, 0x1044), device, line(0, 0x1048), stopped, line(0, 0x1048), line(0, 0x2200)];
        assert_eq!(paths(Kernel::x86_64(), &lines), [(0, Entry::Call, 3), (0, Entry::Interrupt, 1)]);
    }

    #[test]
    fn stubs_below_32_are_faults() {
        let lines = [0x20e0, 0x1000].map(|pc| line(0, pc));
        assert_eq!(paths(Kernel::x86_64(), &lines), [(0, Entry::Fault, 2)]);
        assert!(!Tracker::new(Kernel::x86_64()).take(b"qemu: warning", &mut |_| {}));
    }
}
