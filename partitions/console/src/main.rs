// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console partition: the only owner of the UART. It prints what the members log (see the
//! library for how) and hands what is typed to one of them: the one that `config.input` names,
//! else the first that takes input.
#![no_std]
#![no_main]

mod uart;

use console::{Console, Member, Sink};
use heapless::Vec;
use parzelle_rt::abi::NEVER;
use parzelle_rt::abi::event;
use parzelle_rt::abi::info::{ObjectInfo, ObjectKind};
use parzelle_rt::device::Mapped;
use parzelle_rt::ring::{Reader, Writer};
use parzelle_rt::{Doorbell, Error, Interrupt, Once, Partition, now, wait};
use uart::Uart;

/// The most members whose logs are printed; of more than that it says so.
const MEMBERS: usize = 1024;

static TABLE: Once<Vec<Member, MEMBERS>> = Once::new(Vec::new());

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let (mut uart, device) = Uart::open(&me)?;
    let interrupt = me.interrupt(device).ok();
    let input = Input::find(&me);
    let Some(members) = TABLE.take() else { return Ok(()) };
    let mut all = me.objects_of(ObjectKind::LogIn).filter_map(member);
    members.extend(all.by_ref().take(MEMBERS));
    if all.next().is_some() {
        uart.put(b"console: only the first 1024 members are printed\r\n");
    }
    let mut console = Console::new(members);
    if let Some(line) = interrupt {
        line.acknowledge()?;
    }
    parzelle_rt::ready()?;
    loop {
        let again = console.turn(now(), &mut uart).unwrap_or(NEVER);
        let events = wait(again, event::ALL);
        if let Some(line) = interrupt.filter(|line| events & line.event() != 0) {
            receive(&mut uart, &line, input.as_ref())?;
        }
    }
}

/// A member by its ring.
fn member(object: &'static ObjectInfo) -> Option<Member> {
    Reader::new(object.memory()).map(|reader| Member::new(object.name.as_str(), reader))
}

/// Hands over what was typed.
fn receive(uart: &mut Uart, line: &Interrupt, input: Option<&Input>) -> Result<(), Error> {
    while let Some(byte) = uart.receive() {
        if let Some(input) = input {
            input.ring.write(&[byte]);
        }
    }
    if let Some(bell) = input.and_then(|input| input.bell) {
        bell.ring()?;
    }
    line.acknowledge()
}

/// Where typed bytes go.
struct Input {
    ring: Writer,
    bell: Option<Doorbell>,
}

impl Input {
    /// Finds the member that takes input.
    fn find(me: &Partition) -> Option<Self> {
        let config = me.config();
        let wanted = |object: &&ObjectInfo| config.text("input").is_none_or(|name| name == object.name.as_str());
        let object = me.objects_of(ObjectKind::InputOut).find(wanted)?;
        let bell = Doorbell::of_number(object.number);
        Some(Self { ring: Writer::new(object.memory())?, bell })
    }
}
