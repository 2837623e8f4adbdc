// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Pipes, sockets, and what waits at descriptors.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread;

use guest_support::process::{Child, Status, pipe};
use guest_support::{check, signal, time};

use crate::timers::LATE;
use crate::verdict::{Fault, Verdict, equal, within};

/// Bytes that nobody confuses.
fn stream(bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A mebibyte comes through, whole; ends and full pipes are told.
pub(crate) fn pipes() -> Verdict {
    let sent = stream(1 << 20);
    let (read, write) = pipe(libc::O_CLOEXEC)?;
    let child = Child::new(|| {
        let done = sent.chunks(777).try_for_each(|piece| (&File::from(write.try_clone()?)).write_all(piece));
        i32::from(done.is_err())
    })?;
    drop(write);
    let mut got = Vec::new();
    File::from(read).read_to_end(&mut got)?;
    equal("what came through", true, got == sent)?;
    equal("the writer", Status::Exited(0), child.wait()?)?;

    let (read, write) = pipe(libc::O_NONBLOCK)?;
    let mut write = File::from(write);
    let mut room = 0;
    let full = loop {
        match write.write(&[0; 4096]) {
            Ok(count) => room += count,
            Err(error) => break error.kind(),
        }
    };
    equal("a full pipe", (ErrorKind::WouldBlock, 65536), (full, room))?;
    drop(read);
    signal::reset(libc::SIGPIPE, true)?;
    equal("a pipe without a reader", Err(ErrorKind::BrokenPipe), write.write(&[0]).map_err(|it| it.kind()))
}

/// Sockets of this machine: pairs, names, messages.
pub(crate) fn sockets() -> Verdict {
    let sent = stream(300_000);
    let (mut near, mut far) = UnixStream::pair()?;
    let other = thread::spawn(move || -> io::Result<usize> {
        let mut all = vec![0; 300_000];
        far.read_exact(&mut all)?;
        far.write_all(&all)?;
        Ok(all.len())
    });
    near.write_all(&sent)?;
    let mut got = vec![0; sent.len()];
    near.read_exact(&mut got)?;
    equal("what came back", true, got == sent)?;
    equal("the other side", Some(300_000), other.join().ok().and_then(Result::ok))?;

    let name = "/tmp/check-socket";
    let listener = UnixListener::bind(name)?;
    let child = Child::new(|| {
        let talk = || -> io::Result<()> {
            let mut stream = UnixStream::connect(name)?;
            stream.write_all(b"hello")
        };
        i32::from(talk().is_err())
    })?;
    let mut text = String::new();
    listener.accept()?.0.read_to_string(&mut text)?;
    equal("what was said", "hello", text.as_str())?;
    equal("the child", Status::Exited(0), child.wait()?)?;
    std::fs::remove_file(name)?;

    let (near, far) = UnixDatagram::pair()?;
    for length in [0, 1, 100, 4000] {
        near.send(&sent[..length])?;
    }
    for length in [0, 1, 100, 4000] {
        let mut message = [0; 5000];
        equal("a message's length", length, far.recv(&mut message)?)?;
        equal("the message", true, message[..length] == sent[..length])?;
    }
    Ok(())
}

/// Events and time-outs end a wait for descriptors.
pub(crate) fn descriptors() -> Verdict {
    let (read, write) = pipe(libc::O_CLOEXEC)?;
    let wait = |patience: i32| {
        let mut poll = libc::pollfd { fd: read.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure of ours.
        check(unsafe { libc::poll(&raw mut poll, 1, patience) }).map(|count| (count, poll.revents))
    };
    let begin = time::monotonic();
    equal("a wait in vain", (0, 0), wait(30)?)?;
    within("its length in ns", 30_000_000, LATE, time::monotonic() - begin)?;
    let write = File::from(write);
    let writer = thread::spawn(move || {
        time::sleep(20_000_000);
        (&write).write_all(&[1]).is_ok()
    });
    let begin = time::monotonic();
    equal(
        "a wait for another thread",
        (1, libc::POLLIN),
        wait(5000).map(|(count, events)| (count, events & libc::POLLIN))?,
    )?;
    within("its length in ns", 10_000_000, LATE, time::monotonic() - begin)?;
    match writer.join() {
        Ok(good) => equal("the writer", true, good),
        Err(_) => Err(Fault::Wrong("a thread is gone".to_owned())),
    }
}
