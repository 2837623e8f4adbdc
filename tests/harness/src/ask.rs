// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Questions to a system over the network, from this machine. QEMU's user network hands a free port
//! of this machine on to each port that is asked; the answers stand on lines of the partition `host`
//! at the end of what the system printed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;

use crate::console::Transcript;
use crate::devices::Forward;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a single try may take.
const TRY: Duration = Duration::from_secs(2);
/// What a system may still print after the last answer.
const REST: Duration = Duration::from_millis(500);

/// What the question is asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A connection; the answer is all that comes until its end.
    Tcp,
    /// A packet; the answer is one.
    Udp,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Ask when this has been printed.
    pub after: String,
    /// By what.
    pub protocol: Protocol,
    /// The port there.
    pub port: u16,
    /// The address there.
    #[serde(default = "address")]
    pub address: String,
    /// What is said.
    pub send: String,
    /// The port of this machine that is handed on.
    #[serde(skip)]
    pub host: u16,
}

/// The first address that QEMU's DHCP server gives.
fn address() -> String {
    "10.0.2.15".into()
}

impl Ask {
    /// With a port of this machine that is free now.
    pub(crate) fn placed(mut self) -> Result<Self> {
        self.host = match self.protocol {
            Protocol::Tcp => TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
            Protocol::Udp => UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port(),
        };
        Ok(self)
    }

    /// What QEMU has to hand on.
    pub(crate) fn forward(&self) -> Forward {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        Forward { protocol: protocol.into(), host: self.host, address: self.address.clone(), port: self.port }
    }

    /// Asks until there is an answer.
    fn ask(&self) -> String {
        let until = Instant::now() + PATIENCE;
        let mut last = String::from("no answer");
        while Instant::now() < until {
            match self.once() {
                Ok(answer) if !answer.is_empty() => return String::from_utf8_lossy(&answer).into_owned(),
                Ok(_) => {}
                Err(error) => last = format!("no answer: {error}"),
            }
            thread::sleep(Duration::from_millis(100));
        }
        last
    }

    /// Asks once.
    fn once(&self) -> std::io::Result<Vec<u8>> {
        let place = ("127.0.0.1", self.host);
        let mut answer = vec![0; 2048];
        match self.protocol {
            Protocol::Tcp => {
                let mut stream = TcpStream::connect(place)?;
                stream.set_read_timeout(Some(TRY))?;
                stream.write_all(self.send.as_bytes())?;
                answer.clear();
                stream.read_to_end(&mut answer)?;
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.set_read_timeout(Some(TRY))?;
                socket.send_to(self.send.as_bytes(), place)?;
                let length = socket.recv(&mut answer)?;
                answer.truncate(length);
            }
        }
        Ok(answer)
    }
}

/// Asks each question once what it waits for has been printed.
pub(crate) struct Asker {
    waiting: Vec<Ask>,
    asked: Vec<JoinHandle<String>>,
    has_asked: bool,
}

impl Asker {
    pub(crate) fn new(waiting: Vec<Ask>) -> Self {
        Self { waiting, asked: Vec::new(), has_asked: false }
    }

    /// Looks whether something can be asked.
    pub(crate) fn look(&mut self, console: &Transcript) {
        for ask in self.waiting.extract_if(.., |ask| console.raw().contains(&ask.after)) {
            self.asked.push(thread::spawn(move || ask.ask()));
            self.has_asked = true;
        }
    }

    /// How long the system may go on: until a while after all is answered.
    pub(crate) fn rest(&self) -> Option<Duration> {
        let is_done = self.has_asked && self.waiting.is_empty() && self.asked.iter().all(JoinHandle::is_finished);
        is_done.then_some(REST)
    }

    /// The answers that have come, as lines of `host`.
    pub(crate) fn answers(self) -> String {
        let mut lines = String::new();
        for answer in self.asked.into_iter().filter(JoinHandle::is_finished).filter_map(|asked| asked.join().ok()) {
            answer.lines().for_each(|line| lines.push_str(&format!("\n[host] {line}")));
        }
        lines + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_on_lines_of_the_host() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 5];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(b"one\r\ntwo").unwrap();
            asked
        });
        let ask = Ask {
            after: "ready".into(),
            protocol: Protocol::Tcp,
            port: 80,
            address: address(),
            send: "hello".into(),
            host,
        };
        let mut asker = Asker::new(vec![ask]);
        asker.look(&Transcript::new("not yet"));
        assert_eq!((asker.waiting.len(), asker.rest()), (1, None));
        asker.look(&Transcript::new("it is ready now"));
        assert_eq!(server.join().unwrap(), *b"hello");
        while asker.rest().is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(asker.answers(), "\n[host] one\n[host] two\n");
    }
}
