// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Processes that come and go.

use std::ffi::CString;
use std::io;
use std::ptr::null;

use guest_support::memory::{Map, PAGE, WRITE};
use guest_support::process::{Child, Status};

use crate::LEAVE;
use crate::meter::Meter;

/// A fork, small and with 16 MiB to share, and one that executes a program. Each with its end.
pub(crate) fn processes(meter: &Meter) -> io::Result<()> {
    meter.large("fork_exit_wait", 51, |meter| meter.time(|| lived(Child::new(|| 0)?)))?;
    {
        let map = Map::private(16 << 20, WRITE)?;
        map.advise(map.pages(), libc::MADV_NOHUGEPAGE)?;
        for page in map.pages() {
            map.write(page * PAGE, 1);
        }
        meter.large("fork_16M_exit_wait", 15, |meter| meter.time(|| lived(Child::new(|| 0)?)))?;
    }
    let own = std::env::current_exe()?;
    let own = CString::new(own.into_os_string().into_encoded_bytes())?;
    let arguments = [own.as_ptr(), LEAVE.as_ptr(), null()];
    let environment = [null()];
    meter.large("fork_exec_wait", 51, |meter| {
        meter.time(|| {
            lived(Child::new(|| {
                // SAFETY: null-terminated lists of strings that live.
                unsafe { libc::execve(own.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
                1
            })?)
        })
    })
}

/// Waits for the good end of a child.
fn lived(child: Child) -> io::Result<()> {
    match child.wait()? {
        Status::Exited(0) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}
