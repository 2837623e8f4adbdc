// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel's page-table service, as a vCPU reaches it.
//!
//! The shim carries [`Service`] out by kernel calls, one for one; the tests by the service itself.
//! Everything that takes several calls is here ([`Calls`]).

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All is done.
    Done,
    /// A step is done: call again.
    Again,
    /// Nothing is done: other processors have to flush first. Call again after a while.
    Wait,
}

impl Progress {
    /// Reads the value of a call.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Done,
            1 => Self::Again,
            _ => Self::Wait,
        }
    }
}

/// Why a call was refused; the numbers are the kernel's statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Error {
    /// There is no table for this frame, or it is being destroyed.
    NoTable = 32,
    /// There is one already.
    Exists = 33,
    /// The frame is not in the partition's memory.
    NotYours = 34,
    /// Levels are 1 to 4, indices 0 to 511.
    OutOfRange = 35,
    /// The table has another level than it would have to have here.
    WrongLevel = 36,
    /// The table is not filled yet.
    NotReady = 37,
    /// The table is referred to, or a vCPU's root.
    InUse = 38,
    /// The slot is the kernel's.
    Reserved = 39,
    /// A large page, or a bit that has to be zero.
    Malformed = 40,
    /// This root is one for the other kind of context.
    WrongKind = 41,
    /// The pool is used up.
    PoolEmpty = 42,
    /// The partition is being restarted.
    Resetting = 43,
    /// Anything else: a kernel that doesn't have this service.
    Other = 44,
}

impl Error {
    /// Reads the status of a call that is not 0.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            32 => Self::NoTable,
            33 => Self::Exists,
            34 => Self::NotYours,
            35 => Self::OutOfRange,
            36 => Self::WrongLevel,
            37 => Self::NotReady,
            38 => Self::InUse,
            39 => Self::Reserved,
            40 => Self::Malformed,
            41 => Self::WrongKind,
            42 => Self::PoolEmpty,
            43 => Self::Resetting,
            _ => Self::Other,
        }
    }

    /// Whether an entry that was read can be the reason.
    const fn is_of_an_entry(self) -> bool {
        use Error::{Malformed, NoTable, NotReady, NotYours, Reserved, WrongLevel};
        matches!(self, Malformed | NoTable | NotReady | NotYours | Reserved | WrongLevel)
    }
}

/// How a call answers.
pub type Answer = Result<Progress, Error>;

/// Elements in a vCPU's queue, at most.
pub const QUEUE: u64 = 64;

/// The kernel calls of one vCPU, its queue, and the machine-to-physical table.
pub trait Service {
    /// Creates the kernel's table for a frame of the guest's. Bit n of `lines`: entries 8 n to 8 n + 7
    /// have something in them.
    ///
    /// # Errors
    /// As the kernel says.
    fn create(&mut self, frame: u64, level: u8, lines: u64) -> Answer;

    /// Reads lines again; 0: goes on with what is left.
    ///
    /// # Errors
    /// As the kernel says.
    fn fill(&mut self, frame: u64, lines: u64) -> Answer;

    /// Installs an entry, whatever the guest's table says.
    ///
    /// # Errors
    /// As the kernel says.
    fn write(&mut self, frame: u64, index: u64, entry: u64) -> Result<(), Error>;

    /// Destroys a table that nothing refers to.
    ///
    /// # Errors
    /// As the kernel says.
    fn destroy(&mut self, frame: u64) -> Answer;

    /// Takes what is queued.
    ///
    /// # Errors
    /// As the kernel says: an entry was refused, and is absent.
    fn drain(&mut self) -> Answer;

    /// Sets the roots of this vCPU: frames, or none.
    ///
    /// # Errors
    /// As the kernel says.
    fn set_roots(&mut self, kernel: Option<u64>, user: Option<u64>) -> Result<(), Error>;

    /// Flushes the TLBs of the vCPUs in a mask. Generation 0 begins, and gives the generation or 0
    /// if it is done; otherwise asks whether that generation is done: 0 yes.
    fn flush(&mut self, vcpus: u64, generation: u64) -> u64;

    /// The mask of this vCPU.
    fn here(&self) -> u64;

    /// Waits a moment for other processors.
    fn relax(&mut self);

    /// How many elements are in the queue of this vCPU.
    fn queued(&self) -> u64;

    /// Says how many there are.
    fn set_queued(&mut self, count: u64);

    /// Reads element `slot`, below [`QUEUE`]: the physical address of an entry | (entries − 1) << 52.
    fn element(&self, slot: u64) -> u64;

    /// Writes it.
    fn set_element(&mut self, slot: u64, element: u64);

    /// Writes an entry of the machine-to-physical table; false: it has no such entry.
    fn set_machine_to_physical(&mut self, machine: u64, physical: u64) -> bool;
}

/// Where an element has its count.
const COUNT: u32 = 52;
/// The entry's address in it.
const ADDRESS: u64 = (1 << COUNT) - 1;
/// Lines of a table.
const LINES: u32 = 64;
/// More steps than any call takes: whoever comes here stops asking.
const STEPS: u32 = 1 << 16;

/// What takes several calls.
pub(super) trait Calls: Service {
    /// Notes that an entry has changed. What lies next to the element before becomes a part of it.
    #[inline(always)]
    fn push(&mut self, at: u64) {
        let mut count = self.queued();
        if let Some(last) = count.checked_sub(1) {
            let element = self.element(last);
            let (offset, bytes) = (at.wrapping_sub(element & ADDRESS), ((element >> COUNT) + 1) * 8);
            if offset <= bytes && (offset < bytes || !at.is_multiple_of(4096)) {
                if offset == bytes {
                    self.set_element(last, element + (1 << COUNT));
                }
                return;
            }
            if count >= QUEUE {
                self.drain_all();
                count = 0;
            }
        }
        self.set_element(count, at);
        self.set_queued(count + 1);
    }

    /// Notes that entries have changed, from one on, all in one table.
    fn push_run(&mut self, at: u64, entries: u64) {
        let mut count = self.queued();
        if let Some(last) = count.checked_sub(1) {
            let element = self.element(last);
            if (element & ADDRESS) + ((element >> COUNT) + 1) * 8 == at && !at.is_multiple_of(4096) {
                return self.set_element(last, element + (entries << COUNT));
            }
            if count >= QUEUE {
                self.drain_all();
                count = 0;
            }
        }
        self.set_element(count, at | (entries - 1) << COUNT);
        self.set_queued(count + 1);
    }

    /// Empties the queue.
    #[cold]
    #[inline(never)]
    fn drain_all(&mut self) {
        for _ in 0..STEPS {
            match self.drain() {
                Ok(Progress::Done) => return,
                Err(Error::Resetting | Error::Other) => break,
                // A refused entry is absent; the guest finds out when it touches it.
                Ok(_) | Err(_) => {}
            }
        }
        self.set_queued(0);
    }

    /// Creates a table and reads all of it. What is refused in it is absent.
    fn create_all(&mut self, frame: u64, level: u8, lines: u64) -> Result<(), Error> {
        let mut answer = loop {
            match self.create(frame, level, lines) {
                Ok(Progress::Wait) => self.relax(),
                Ok(Progress::Done) => return Ok(()),
                Err(error) if !error.is_of_an_entry() => return Err(error),
                answer => break answer,
            }
        };
        // A line each. Whether an error is about an entry or the table only shows by going on.
        for _ in 0..=LINES {
            let next = self.fill(frame, 0);
            if next == Ok(Progress::Done) {
                return Ok(());
            }
            answer = next;
        }
        Err(answer.err().unwrap_or(Error::Other))
    }

    /// Destroys a table.
    fn destroy_all(&mut self, frame: u64) -> Result<(), Error> {
        for _ in 0..STEPS {
            if self.destroy(frame)? == Progress::Done {
                return Ok(());
            }
        }
        Err(Error::Other)
    }

    /// Flushes, and waits until that is done.
    fn flush_all(&mut self, vcpus: u64) {
        let generation = self.flush(vcpus, 0);
        if generation != 0 {
            while self.flush(vcpus, generation) != 0 {
                self.relax();
            }
        }
    }
}

impl<S: Service> Calls for S {}
