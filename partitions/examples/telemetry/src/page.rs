// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The web page: one answer to whatever is asked, then the connection ends (HTTP/1.0).

use core::fmt::Write;

use parzelle_rt::{SamplingDestination, now};
use smoltcp::socket::tcp;

use crate::HTTP;

/// Answers the connection, if there is one that has asked.
pub(crate) fn serve(socket: &mut tcp::Socket<'_>, state: Option<&SamplingDestination>) {
    if !socket.is_open() {
        // As it is closed and the port is not 0, it can listen.
        let _ = socket.listen(HTTP);
    }
    // The question ends with an empty line; who asks at such length that it does not fit is answered
    // all the same.
    let is_asked = |text: &[u8]| text.windows(4).any(|end| end == b"\r\n\r\n");
    let is_full = socket.recv_queue() == socket.recv_capacity();
    let is_complete = is_full || socket.peek(2048).is_ok_and(is_asked);
    if is_complete && socket.can_send() {
        // What was asked for doesn't matter.
        let _ = socket.recv(|text| (text.len(), ()));
        let text = page(state);
        // The buffer is empty and larger than the page.
        let _ = socket.send_slice(text.as_bytes());
        socket.close();
    } else if !socket.may_recv() && socket.may_send() {
        socket.close();
    }
}

/// The answer, head and text.
fn page(state: Option<&SamplingDestination>) -> heapless::String<1024> {
    let mut text = heapless::String::new();
    // It fits.
    let _ = write!(text, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nRefresh: 1\r\n\r\n");
    let _ = writeln!(text, "{} ms since boot", now() / 1_000_000);
    let mut message = [0; 256];
    match state.map(|state| state.read(&mut message)) {
        Some(Ok(sample)) => {
            let age = if sample.valid { "fresh" } else { "old" };
            let _ = write!(text, "state ({age}):");
            let words = message.get(..sample.length).unwrap_or_default().as_chunks::<8>().0;
            for word in words {
                let _ = write!(text, " {}", i64::from_le_bytes(*word));
            }
            let _ = writeln!(text);
        }
        Some(Err(_)) => {
            let _ = writeln!(text, "state: nothing was written yet");
        }
        None => {
            let _ = writeln!(text, "no sampling port `state`");
        }
    }
    text
}
