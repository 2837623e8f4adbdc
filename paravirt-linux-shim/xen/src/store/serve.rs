// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Requests and their answers.

use super::message::Output;
use super::{Contents, DEVICES, GUEST, HOME, Path, Refusal, SERVER, Store};
use crate::abi::store::{Header, Message, RING, at};
use crate::memory::Page;

/// Transactions that can be open at once.
const TRANSACTIONS: u32 = u32::BITS;
/// Requests that are looked at in one go, more than fit into the ring: a guest that writes while it
/// is served waits for the next time.
const REQUESTS: usize = 2 * RING / size_of::<Header>();

impl Store {
    /// Takes requests from the page, and puts replies and events there, as far as there is room.
    /// Tells whether the guest is to be told.
    pub fn serve(&mut self, page: &impl Page) -> bool {
        let was_full = page.load32(at::REQUESTS_PROD).wrapping_sub(page.load32(at::REQUESTS_CONS)) as usize >= RING;
        let mut put = false;
        for _ in 0..REQUESTS {
            put |= self.output.put(page);
            if !self.output.is_empty() {
                break;
            }
            if self.contents.watches.is_waiting() {
                self.next_event();
            } else if self.input.take(page) {
                self.answer();
            } else {
                break;
            }
        }
        // Who waits for room to ask, and who waits for an answer.
        put || was_full
    }

    /// Whether something waits to be told. (The rest of a message follows when the guest has taken
    /// what is there, which it tells.)
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.output.is_empty() && self.contents.watches.is_waiting()
    }

    fn next_event(&mut self) {
        let output = &mut self.output;
        self.contents.watches.next(|path, token| {
            output.begin(&Header { kind: Message::Event.number(), ..Header::default() });
            // A path and a token: there is room.
            let _ = [path, b"\0", token, b"\0"].into_iter().try_for_each(|part| output.add(part));
            output.end();
        });
    }

    fn answer(&mut self) {
        let Some(header) = self.input.header() else { return };
        let output = &mut self.output;
        output.begin(&header);
        let result = match self.input.body() {
            Some(body) => self.contents.answer(&header, body, output),
            None => Err(Refusal::TooBig),
        };
        if let Err(refusal) = result {
            output.refuse(&header, refusal.name());
        }
        output.end();
        self.input.clear();
    }
}

impl Contents {
    fn answer(&mut self, header: &Header, body: &[u8], output: &mut Output) -> Result<(), Refusal> {
        let message = Message::from_number(header.kind.into()).ok_or(Refusal::NoSystem)?;
        let ends = message == Message::TransactionEnd;
        if header.transaction != 0 && !ends && !self.is_open(header.transaction) {
            return Err(Refusal::NoEntry);
        }
        let mut say = |part: &[u8]| output.add(part).map_err(|()| Refusal::TooBig);
        match message {
            Message::Read => say(self.tree.value(&only(body)?)?),
            Message::Directory => {
                self.tree.list(&only(body)?)?.try_for_each(|name| say(name).and_then(|()| say(b"\0")))
            }
            Message::Write => {
                let (path, value) = split(body)?;
                self.change(&path, |tree, path| tree.write(path, value))?;
                say(b"OK\0")
            }
            Message::MakeDirectory => {
                self.change(&only(body)?, |tree, path| tree.make_directory(path))?;
                say(b"OK\0")
            }
            Message::Remove => {
                let path = only(body)?;
                self.change(&path, |tree, path| tree.remove(path))?;
                say(b"OK\0")
            }
            Message::Watch => {
                let (path, token) = split(body)?;
                self.watches.add(path, one(token)?)?;
                say(b"OK\0")
            }
            Message::Unwatch => {
                let (path, token) = split(body)?;
                self.watches.remove(&path, one(token)?)?;
                say(b"OK\0")
            }
            Message::ResetWatches => {
                self.watches.clear();
                self.transactions = 0;
                say(b"OK\0")
            }
            Message::TransactionStart => {
                let number = self.open().ok_or(Refusal::NoSpace)?;
                say(decimal(number, &mut [0; 4]))
            }
            Message::TransactionEnd => {
                if !self.is_open(header.transaction) || !matches!(body, b"T\0" | b"F\0") {
                    return Err(Refusal::Invalid);
                }
                self.transactions &= !(1 << (header.transaction - 1));
                say(b"OK\0")
            }
            Message::DomainPath => match number(body)? {
                GUEST => say(HOME.as_bytes()).and_then(|()| say(b"\0")),
                SERVER => say(b"/local/domain/0\0"),
                _ => Err(Refusal::NoEntry),
            },
            Message::IsIntroduced => say(if number(body)? <= GUEST { b"T\0" } else { b"F\0" }),
            Message::GetPermissions => {
                let path = only(body)?;
                self.tree.value(&path)?;
                say(if path.is_within(HOME.as_bytes()) { b"n1\0" } else { b"n0\0r1\0" })
            }
            // All of its own is its own, and nobody else's.
            Message::SetPermissions => {
                let (path, _) = split(body)?;
                self.tree.value(&path)?;
                if path.is_below(HOME.as_bytes()) { say(b"OK\0") } else { Err(Refusal::Access) }
            }
            Message::Control | Message::Introduce | Message::Release | Message::Resume | Message::SetTarget => {
                Err(Refusal::Access)
            }
            Message::Event | Message::Error | Message::DirectoryPart => Err(Refusal::NoSystem),
        }
    }

    /// A change by the guest. Of those to its own frontends' nodes it isn't told: it knows, and would
    /// list its devices again for each.
    fn change(
        &mut self,
        path: &Path,
        how: impl FnOnce(&mut super::Tree, &Path) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if !path.is_below(HOME.as_bytes()) {
            return Err(Refusal::Access);
        }
        let removes = self.tree.value(path).is_ok();
        how(&mut self.tree, path)?;
        self.changed = true;
        if !path.is_within(DEVICES.as_bytes()) {
            let gone = removes && self.tree.value(path).is_err();
            self.watches.fire(path, gone);
        }
        Ok(())
    }

    /// Opens a transaction.
    fn open(&mut self) -> Option<u32> {
        let free = self.transactions.trailing_ones();
        (free < TRANSACTIONS).then(|| {
            self.transactions |= 1 << free;
            free + 1
        })
    }

    fn is_open(&self, number: u32) -> bool {
        (1..=TRANSACTIONS).contains(&number) && self.transactions & 1 << (number - 1) != 0
    }
}

/// A body that is one path.
fn only(body: &[u8]) -> Result<Path, Refusal> {
    Path::of(body.strip_suffix(b"\0").ok_or(Refusal::Invalid)?)
}

/// A body that is a path and something else.
fn split(body: &[u8]) -> Result<(Path, &[u8]), Refusal> {
    let end = body.iter().position(|byte| *byte == 0).ok_or(Refusal::Invalid)?;
    let (path, rest) = body.split_at(end);
    Ok((Path::of(path)?, rest.get(1..).unwrap_or_default()))
}

/// The rest of a body, if that is one text.
fn one(text: &[u8]) -> Result<&[u8], Refusal> {
    text.strip_suffix(b"\0").filter(|text| !text.contains(&0)).ok_or(Refusal::Invalid)
}

/// A body that is a domain's number.
fn number(body: &[u8]) -> Result<u16, Refusal> {
    let text = body.strip_suffix(b"\0").and_then(|text| core::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).ok_or(Refusal::Invalid)
}

/// A small number as text, with a zero behind it.
fn decimal(number: u32, room: &mut [u8; 4]) -> &[u8] {
    let digits = [number / 100 % 10, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8);
    room.iter_mut().zip(digits).for_each(|(to, from)| *to = from);
    let skip = if number >= 100 {
        0
    } else if number >= 10 {
        1
    } else {
        2
    };
    room.get(skip..).unwrap_or_default()
}
