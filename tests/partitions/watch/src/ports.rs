// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Messages with `partner`, and those that the attacker sends, which are read and thrown away.
//!
//! ```text
//!   watch ── ping (queuing) ──► partner
//!         ◄── pong (queuing) ──           the same words, each with one added
//!         ◄── beat (sampling) ──          counts the partner's windows
//! ```

use parzelle_rt::abi::{NEVER, event};
use parzelle_rt::{Error, Partition, QueuingDestination, QueuingSource, SamplingDestination, wait};
use test_support::{Random, Test};

/// Words of a message.
const WORDS: usize = 8;
/// Bytes of a message.
const BYTES: usize = WORDS * 8;

/// What `partner` does.
pub(crate) fn partner(me: &Partition) -> Result<(), Error> {
    let (ping, pong) = (me.queuing_destination("ping")?, me.queuing_source("pong")?);
    let beat = me.sampling_source("beat")?;
    parzelle_rt::ready()?;
    for windows in 1u64.. {
        wait(NEVER, event::WINDOW);
        beat.write(&windows.to_le_bytes())?;
        let mut message = [0; BYTES];
        while ping.receive(&mut message).is_ok() {
            for bytes in message.as_chunks_mut::<8>().0 {
                *bytes = u64::from_le_bytes(*bytes).wrapping_add(1).to_le_bytes();
            }
            pong.send(&message)?;
        }
    }
    Ok(())
}

/// The watcher's ends.
pub(crate) struct Ports {
    ping: QueuingSource,
    pong: QueuingDestination,
    beat: SamplingDestination,
    junk: QueuingDestination,
    noise: SamplingDestination,
    random: Random,
    expected: Option<[u8; BYTES]>,
    last_beat: u64,
    count: u64,
}

impl Ports {
    /// Finds them.
    pub(crate) fn open(me: &Partition) -> Result<Self, Error> {
        Ok(Self {
            ping: me.queuing_source("ping")?,
            pong: me.queuing_destination("pong")?,
            beat: me.sampling_destination("beat")?,
            junk: me.queuing_destination("junk")?,
            noise: me.sampling_destination("noise")?,
            random: Random::new(3),
            expected: None,
            last_beat: 0,
            count: 0,
        })
    }

    /// Checks what came since the last window, and sends the next message.
    pub(crate) fn look(&mut self, test: &mut Test) {
        let mut buffer = [0; BYTES];
        if let Some(expected) = self.expected.take() {
            test.equal("pong", self.pong.receive(&mut buffer), Ok(BYTES));
            test.check(buffer == expected, "a message has changed");
            let sample = self.beat.read(&mut buffer);
            test.check(sample.is_ok_and(|sample| sample.valid && sample.length == 8), "no fresh beat");
            let beat = buffer.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            if self.last_beat != 0 {
                test.equal("beat", beat, self.last_beat + 1);
            }
            self.last_beat = beat;
        }
        test.check(self.pong.receive(&mut buffer).is_err(), "one message too many");
        while self.junk.receive(&mut buffer).is_ok() {}
        // Whatever is there or not: the attacker may write what it likes.
        let _ = self.noise.read(&mut buffer);
        let mut message = [0; BYTES];
        let mut answer = [0; BYTES];
        let pairs = message.as_chunks_mut::<8>().0.iter_mut().zip(answer.as_chunks_mut::<8>().0);
        for (word, echoed) in pairs {
            let number = self.random.word();
            (*word, *echoed) = (number.to_le_bytes(), number.wrapping_add(1).to_le_bytes());
        }
        test.equal("ping", self.ping.send(&message), Ok(()));
        self.expected = Some(answer);
        self.count += 1;
    }

    /// Messages that were exchanged.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}
