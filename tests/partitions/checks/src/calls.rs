// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Every call, and every error that it documents.
//!
//! Needs: sampling `out` (8 bytes) and `in`, queuing `to` and `from` of depth 2, a partition
//! beside it, no rights but `module`; `application-error = "log"`.

use parzelle_rt::abi::call::{Call, Error as Refusal};
use parzelle_rt::abi::health::ErrorId;
use parzelle_rt::abi::info::{SELF, layout};
use parzelle_rt::abi::{NEVER, REVISION, event};
use parzelle_rt::health::{self, own_statistics, raise};
use parzelle_rt::{Error, Partition, now, time, vcpu};
use test_support::{Test, raw, refused};

/// An address at which nothing is mapped.
const NOWHERE: u64 = layout::END - 8;

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    let mut test = Test::new("calls");
    numbers(&mut test);
    ports(me, &mut test)?;
    rights(me, &mut test);
    own(&mut test)?;
    test.verdict();
    Ok(())
}

/// Compares what a call says.
fn says(test: &mut Test, call: Call, arguments: [u64; 5], error: Refusal) {
    let found = refused(call, arguments);
    let holds = found == Err(error);
    test.check(holds, format_args!("{} {arguments:x?}: {found:?}, should be {error:?}", call.name()));
}

fn numbers(test: &mut Test) {
    test.equal("revision", parzelle_rt::call::revision().ok(), Some(u64::from(REVISION)));
    let unknown = Call::ALL.len() as u64;
    for number in [unknown, unknown + 1, 64, 255, 1 << 32, 1 << 63, u64::MAX] {
        // SAFETY: not assigned, so the kernel does nothing.
        let found = unsafe { raw(number, [1, 2, 3, 4, 5]) };
        test.equal("an unknown number", found, Err(Refusal::UnknownCall));
    }
    let (before, kernel, after) = (now(), time::kernel_now(), now());
    test.within("kernel time", kernel.unwrap_or(0), before.saturating_sub(2_000), after + 2_000);
}

fn ports(me: &Partition, test: &mut Test) -> Result<(), Error> {
    use Refusal::{Empty, Full, InvalidAddress, NoSuchObject, WrongSize};
    let (out, into) = (me.sampling_source("out")?, me.sampling_destination("in")?);
    let (to, from) = (me.queuing_source("to")?, me.queuing_destination("from")?);
    let [out, into] = [out.number(), into.number()].map(u64::from);
    let [to, from] = [to.number(), from.number()].map(u64::from);
    let buffer = [0u8; 16];
    let own = buffer.as_ptr() as u64;
    for (call, right, wrong) in [
        (Call::SamplingWrite, out, [into, to, from]),
        (Call::SamplingRead, into, [out, to, from]),
        (Call::QueuingSend, to, [out, into, from]),
        (Call::QueuingReceive, from, [out, into, to]),
    ] {
        for port in wrong.into_iter().chain([99, 1 << 32, u64::MAX]) {
            says(test, call, [port, own, 8, 0, 0], NoSuchObject);
        }
        let reads = matches!(call, Call::SamplingWrite | Call::QueuingSend);
        if reads {
            for length in [0, 9, 2049, u64::MAX] {
                says(test, call, [right, own, length, 0, 0], WrongSize);
            }
            for address in [0, NOWHERE, u64::MAX, u64::MAX - 7, 1 << 63, layout::LOADER - 4] {
                says(test, call, [right, address, 8, 0, 0], InvalidAddress);
            }
        } else {
            says(test, call, [right, own, 8, 0, 0], Empty);
        }
    }
    says(test, Call::PortStatus, [99, 0, 0, 0, 0], NoSuchObject);
    let (to, depth) = (me.queuing_source("to")?, 2);
    for sent in 0..depth {
        test.equal("waiting", to.waiting()?, sent);
        test.equal("send", to.send(&[7; 8]), Ok(()));
    }
    test.equal("send to a full queue", to.send(&[7; 8]), Err(Error::Call(Full)));
    test.equal("write", me.sampling_source("out")?.write(&[1; 5]), Ok(()));
    Ok(())
}

fn rights(me: &Partition, test: &mut Test) {
    use Refusal::{InvalidArgument, NoSuchObject, NotPermitted};
    let other = u64::from(me.number() ^ 1);
    says(test, Call::Status, [other, 0, 0, 0, 0], NotPermitted);
    says(test, Call::Control, [other, 2, 0, 0, 0], NotPermitted);
    says(test, Call::Control, [u64::from(me.number()), 2, 0, 0, 0], NotPermitted);
    says(test, Call::Statistics, [other, layout::VCPU_PAGES, 4096, SELF, 0], NotPermitted);
    says(test, Call::SetSchedule, [0; 5], NotPermitted);
    says(test, Call::RunGuest, [event::ALL, 0, 0, 0, 0], NotPermitted);
    for far in [1 << 32, u64::MAX - 1] {
        says(test, Call::Status, [far, 0, 0, 0, 0], NoSuchObject);
        says(test, Call::Control, [far, 2, 0, 0, 0], NoSuchObject);
        says(test, Call::SetSchedule, [far, 0, 0, 0, 0], NoSuchObject);
    }
    for number in [99, 1 << 32, u64::MAX] {
        says(test, Call::Ring, [number, 0, 0, 0, 0], NoSuchObject);
        says(test, Call::AckInterrupt, [number, 0, 0, 0, 0], NoSuchObject);
        says(test, Call::StartVcpu, [number, 0, 0, 0, 0], NoSuchObject);
        says(test, Call::Kick, [number, event::SOFTWARE, 0, 0, 0], NoSuchObject);
    }
    says(test, Call::Module, [3, 0, 0, 0, 0], InvalidArgument);
    says(test, Call::Module, [1, 0, 0, 0, 0], NotPermitted);
}

fn own(test: &mut Test) -> Result<(), Error> {
    use Refusal::{InvalidAddress, InvalidArgument, InvalidMode, WrongSize};
    says(test, Call::SetMode, [4, 0, 0, 0, 0], InvalidArgument);
    says(test, Call::SetMode, [2, 0, 0, 0, 0], InvalidMode);
    test.equal("ready", parzelle_rt::ready(), Ok(()));
    test.equal("ready twice", parzelle_rt::ready(), Err(Error::Call(InvalidMode)));
    let status = health::status(SELF)?;
    test.equal("mode", status.mode, parzelle_rt::abi::health::Mode::Normal);
    test.equal("generation", status.generation, 0);
    // The information pages are read-only.
    for address in [0, NOWHERE, u64::MAX, layout::INFO, layout::LOADER] {
        says(test, Call::Statistics, [SELF, address, 4096, SELF, 0], InvalidAddress);
    }
    says(test, Call::StartVcpu, [0, layout::PROGRAM, 0, 0, 0], InvalidMode);
    for events in [event::TIMER, event::WINDOW, event::PEER, 1 << 8, event::ALL] {
        says(test, Call::Kick, [0, events, 0, 0, 0], InvalidArgument);
    }
    test.equal("kick", vcpu::kick(0, event::SOFTWARE), Ok(()));
    test.equal("what it raised", parzelle_rt::time::poll(event::ALL) & event::SOFTWARE, event::SOFTWARE);

    let before = own_statistics()?;
    for error in [8, 1 << 32, ErrorId::MemoryViolation as u64, ErrorId::PowerFail as u64] {
        says(test, Call::RaiseError, [error, 0, 0, 0, 0], InvalidArgument);
    }
    let application = ErrorId::ApplicationError as u64;
    says(test, Call::RaiseError, [application, layout::INFO, 2049, 0, 0], WrongSize);
    says(test, Call::RaiseError, [application, NOWHERE, 8, 0, 0], InvalidAddress);
    test.equal("raise", raise(ErrorId::ApplicationError, b"for the log"), Ok(()));
    let after = own_statistics()?;
    test.equal("health events", after.health_events - before.health_events, 1);
    test.equal("last error", after.last_error, application + 1);
    test.equal("its code", after.last_code, 11);
    test.equal("disarm", time::set_timer(NEVER), Ok(()));
    Ok(())
}
