// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Starts QEMU on an image, listens to its serial line and sees it end.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::ask::{Ask, Asker};
use crate::board::Board;
use crate::console::Transcript;
use crate::devices::{self, Forward};
use crate::expect::Input;
use crate::native::Native;

/// How to run an image.
#[derive(Clone, Debug)]
pub struct Options {
    /// Count instructions: one nanosecond of virtual time each, idle time skipped. The only way in
    /// which times mean anything. On several cores the cores take turns on one clock, and times
    /// against plan mean nothing again.
    pub icount: bool,
    /// Cores of the machine.
    pub cores: u32,
    /// Version of the interrupt controller (aarch64 only): 3 or 2.
    pub gic: u32,
    /// Wall time after which the run is ended.
    pub timeout: Duration,
    /// More arguments for QEMU: devices, disks.
    pub extra: Vec<String>,
    /// What to type, and after what.
    pub input: Vec<Input>,
    /// Ports of this machine that lead to the first network card of the system.
    pub forward: Vec<Forward>,
    /// What to ask over the network, and after what. When all is answered, the time is up.
    pub ask: Vec<Ask>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            icount: true,
            cores: 1,
            gic: 3,
            timeout: Duration::from_secs(60),
            extra: Vec::new(),
            input: Vec::new(),
            forward: Vec::new(),
            ask: Vec::new(),
        }
    }
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The system switched the board off and was content.
    Success,
    /// The system switched the board off and was not content: on x86-64 its status says so, on
    /// aarch64 the kernel's last line.
    Failure,
    /// The machine was reset where it should not be: a triple fault, perhaps.
    Reset,
    /// The wall time was up.
    Timeout,
    /// QEMU itself ended with this status: a wrong argument, an internal error.
    Emulator(i32),
    /// A signal ended QEMU, and it was not ours.
    Killed,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("switched off"),
            Self::Failure => f.write_str("switched off with a failure"),
            Self::Reset => f.write_str("the machine was reset"),
            Self::Timeout => f.write_str("no end before the time was up"),
            Self::Emulator(status) => write!(f, "QEMU ended with status {status}"),
            Self::Killed => f.write_str("QEMU was killed"),
        }
    }
}

/// How often something else than the serial line is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Run {
    /// All that the system printed.
    pub console: Transcript,
    /// What QEMU itself had to say.
    pub complaints: String,
    /// How it ended.
    pub ending: Ending,
    /// Wall time that it took.
    pub took: Duration,
}

/// The command that runs `image`. Its serial line is its standard input and output.
pub fn command(board: Board, image: &Path, options: &Options) -> Result<Command> {
    let mut command = bare(board);
    command.args(board.machine(options)?);
    command.args(devices::of(image, &options.forward)?);
    finish(&mut command, image, options);
    Ok(command)
}

/// QEMU without default devices: nothing but what the board's data names, and no option ROMs to load.
fn bare(board: Board) -> Command {
    let mut command = Command::new(board.qemu());
    command.args(["-nodefaults", "-display", "none", "-monitor", "none"]);
    command
}

/// The arguments that no board says.
fn finish(command: &mut Command, image: &Path, options: &Options) {
    if options.icount {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    command.arg("-kernel").arg(image);
    command.args(&options.extra);
}

/// Runs `image` until it ends by itself or the time is up, and hands each piece of output to
/// `listen` as it comes.
pub fn run(board: Board, image: &Path, options: &Options, listen: impl FnMut(&[u8])) -> Result<Run> {
    run_reading(board, image, options, listen, all)
}

/// All of QEMU's error output.
fn all(mut errors: ChildStderr) -> Vec<u8> {
    let mut all = Vec::new();
    // What was read before an error is worth something, too.
    let _ = errors.read_to_end(&mut all);
    all
}

/// As [`run`], with a Linux that has the machine to itself: no kernel of ours is below it.
pub fn run_native(board: Board, native: &Native, options: &Options, listen: impl FnMut(&[u8])) -> Result<Run> {
    let mut command = bare(board);
    command.args(native.machine(board, options)?);
    finish(&mut command, &native.kernel, options);
    watch(board, command, options, listen, all)
}

/// As [`run`], with QEMU's error output read, in a thread of its own, by `errors`, which returns
/// what of it is for people.
pub(crate) fn run_reading(
    board: Board,
    image: &Path,
    options: &Options,
    listen: impl FnMut(&[u8]),
    errors: impl FnOnce(ChildStderr) -> Vec<u8> + Send + 'static,
) -> Result<Run> {
    watch(board, command(board, image, options)?, options, listen, errors)
}

/// Starts a command, listens to it and sees it end.
fn watch(
    board: Board,
    mut command: Command,
    options: &Options,
    mut listen: impl FnMut(&[u8]),
    errors: impl FnOnce(ChildStderr) -> Vec<u8> + Send + 'static,
) -> Result<Run> {
    let started = Instant::now();
    command.args(["-chardev", "stdio,id=serial0,signal=off", "-serial", "chardev:serial0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Guard(
        command.spawn().with_context(|| format!("cannot start `{}`; `cargo xtask setup` installs it", board.qemu()))?,
    );
    let stdin = child.0.stdin.take();
    let stdout = child.0.stdout.take().ok_or_else(|| anyhow!("QEMU has no output"))?;
    let stderr = child.0.stderr.take().ok_or_else(|| anyhow!("QEMU has no error output"))?;
    let serial = reader(stdout);
    let errors = thread::spawn(move || errors(stderr));

    let mut console = Transcript::default();
    let mut typist = Typist::new(stdin, options.input.clone());
    let mut asker = Asker::new(options.ask.clone());
    let mut late = false;
    let mut end = started + options.timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match serial.recv_timeout(left.min(LOOK)) {
            Ok(bytes) => {
                listen(&bytes);
                console.push(&bytes);
                typist.look(&console);
                asker.look(&console);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => late = left <= LOOK,
        }
        if late || left.is_zero() {
            late = true;
            break;
        }
        if let Some(rest) = asker.rest() {
            end = end.min(Instant::now() + rest);
        }
    }
    if !options.ask.is_empty() {
        console.push(asker.answers().as_bytes());
    }
    let status = child.end(end.saturating_duration_since(Instant::now()))?;
    let ending = match status {
        Some(status) if !late => match board.ending(status.code()) {
            Ending::Success if console.failed() => Ending::Failure,
            ending => ending,
        },
        _ => Ending::Timeout,
    };
    // Its pipe is closed: the thread ends.
    let complaints = errors.join().unwrap_or_default();
    Ok(Run {
        console,
        complaints: String::from_utf8_lossy(&complaints).trim().to_owned(),
        ending,
        took: started.elapsed(),
    })
}

/// Runs `image` with the terminal as its serial line, until the user leaves (Ctrl-A X).
pub fn interact(board: Board, image: &Path, options: &Options) -> Result<ExitStatus> {
    let mut command = Command::new(board.qemu());
    command.args(["-nodefaults", "-display", "none"]);
    command.args(board.machine(options)?);
    command.args(devices::of(image, &options.forward)?);
    command.args(["-serial", "mon:stdio", "-kernel"]);
    command.arg(image).args(&options.extra);
    command.status().with_context(|| format!("cannot start `{}`", board.qemu()))
}

/// A child that doesn't outlive us when we return early.
struct Guard(Child);

impl Guard {
    /// Waits up to `patience`, then kills. `None`: it had to be killed.
    fn end(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(None)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // An error here means that it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a pipe in a thread of its own; the channel closes when the pipe does.
fn reader(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let piece = buffer.get(..count).unwrap_or_default().to_vec();
                    if sender.send(piece).is_err() {
                        break;
                    }
                }
            }
        }
    });
    receiver
}

/// Types each input once what it waits for has been printed.
struct Typist {
    stdin: Option<ChildStdin>,
    waiting: std::vec::IntoIter<Input>,
    next: Option<Input>,
    /// How much of the console has been used up by earlier matches.
    seen: usize,
}

impl Typist {
    fn new(stdin: Option<ChildStdin>, input: Vec<Input>) -> Self {
        let mut waiting = input.into_iter();
        let next = waiting.next();
        Self { stdin, waiting, next, seen: 0 }
    }

    fn look(&mut self, console: &Transcript) {
        while let Some(input) = &self.next {
            let unseen = console.raw().get(self.seen..).unwrap_or_default();
            let Some(at) = unseen.find(&input.after) else {
                return;
            };
            self.seen += at + input.after.len();
            if let Some(stdin) = &mut self.stdin {
                // If QEMU is gone, its exit status says more than this error.
                let _ = stdin.write_all(input.send.as_bytes()).and_then(|()| stdin.flush());
            }
            self.next = self.waiting.next();
        }
    }
}

/// Where the log of a run of `system` on `board` is kept, below the target directory.
pub fn log_path(target: &Path, system: &str, board: Board) -> PathBuf {
    target.join("systems").join(format!("{system}-{board}.log"))
}
