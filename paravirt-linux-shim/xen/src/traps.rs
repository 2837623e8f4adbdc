// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Traps and returns: what the guest's kernel finds on its stack, and what it leaves there.
//!
//! ```text
//!   up: exception, event, system call            down: hypercall `iret`
//!   rsp ─▶ rcx                                   rsp ─▶ rax
//!          r11                                          r11
//!          error code, if it has one                    rcx
//!          rip                                          flags
//!          cs │ events were masked, in bits 32+         rip
//!          rflags, IF = not masked                      cs
//!          rsp                                          rflags, IF = unmask
//!          ss                                           rsp
//!                                                       ss
//! ```
//!
//! The guest's kernel runs in ring 3 and believes it is in ring 0: its code segment has privilege 0
//! in frames and 3 in the processor.

use crate::abi::trap::{GuestContext, IN_SYSCALL, IretContext, TRAP_MASKS_EVENTS, TrapInfo};
use crate::abi::{Errno, PAGE};
use crate::memory::Arguments;

/// RFLAGS.IF: in frames it tells of the event mask, in the processor it is always set.
const INTERRUPTS: u64 = 1 << 9;
/// RFLAGS that a guest may choose: arithmetic, TF, DF, RF, AC, ID. Not NT, with which `iret` faults.
pub const CHOSEN: u64 = 0x0025_0dd5;
/// RFLAGS' bit that is always set.
const ALWAYS: u64 = 2;
/// Words of the longest frame.
const WORDS: usize = 8;
/// Entries that a list may have: one for each vector and the end.
const LIST: u64 = 257;

/// Where a trap goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The entry.
    pub address: u64,
    /// Events are masked on entry.
    pub masks_events: bool,
    /// User programs may raise it by `int`.
    pub from_user: bool,
}

/// Where all traps of a vCPU go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapTable([Option<Gate>; 256]);

impl Default for TrapTable {
    fn default() -> Self {
        Self::new()
    }
}

impl TrapTable {
    /// No trap goes anywhere.
    #[must_use]
    pub const fn new() -> Self {
        Self([None; 256])
    }

    /// Where a trap goes; none: the guest does not handle it, and is beyond help.
    #[must_use]
    pub fn gate(&self, vector: u8) -> Option<Gate> {
        self.0.get(usize::from(vector)).copied().flatten()
    }

    /// Changes it as a `set_trap_table` with this list says; 0: forgets all.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Invalid`]: an entry where no code can be, or no end.
    pub fn load(&mut self, memory: &impl Arguments, list: u64) -> Result<(), Errno> {
        if list == 0 {
            *self = Self::new();
            return Ok(());
        }
        for index in 0..LIST {
            let info: TrapInfo = memory.get(list.wrapping_add(index * size_of::<TrapInfo>() as u64))?;
            if info.address == 0 {
                return Ok(());
            }
            self.set(info.vector, &info)?;
        }
        Err(Errno::Invalid)
    }

    /// Makes that of a new vCPU: by vector, with gaps.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: an entry where no code can be.
    pub fn of_context(context: &GuestContext) -> Result<Self, Errno> {
        let mut table = Self::new();
        for (vector, info) in (0..=u8::MAX).zip(&context.trap_ctxt) {
            if info.address != 0 {
                table.set(vector, info)?;
            }
        }
        Ok(table)
    }

    fn set(&mut self, vector: u8, info: &TrapInfo) -> Result<(), Errno> {
        if !is_canonical(info.address) {
            return Err(Errno::Invalid);
        }
        let gate = Gate {
            address: info.address,
            masks_events: info.flags & TRAP_MASKS_EVENTS != 0,
            from_user: info.flags & 3 == 3,
        };
        if let Some(slot) = self.0.get_mut(usize::from(vector)) {
            *slot = Some(gate);
        }
        Ok(())
    }
}

/// What was interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupted {
    /// Where.
    pub rip: u64,
    /// Flags of the processor.
    pub rflags: u64,
    /// Stack.
    pub rsp: u64,
    /// Code segment.
    pub cs: u16,
    /// Stack segment.
    pub ss: u16,
    /// Lost on the way up.
    pub rcx: u64,
    /// The same.
    pub r11: u64,
    /// It was a user program.
    pub user: bool,
    /// Events were masked.
    pub masked: bool,
}

/// A frame for the guest's kernel, lowest word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    words: [u64; WORDS],
    count: usize,
}

impl Frame {
    /// Makes the frame of a trap.
    #[must_use]
    pub const fn new(of: &Interrupted, error: Option<u32>) -> Self {
        let cs = if of.user { of.cs } else { of.cs & !3 } as u64 | (of.masked as u64) << 32;
        let rflags = of.rflags & !INTERRUPTS | if of.masked { 0 } else { INTERRUPTS };
        let Interrupted { rip, rsp, rcx, r11, ss, .. } = *of;
        match error {
            Some(error) => Self { words: [rcx, r11, error as u64, rip, cs, rflags, rsp, ss as u64], count: WORDS },
            None => Self { words: [rcx, r11, rip, cs, rflags, rsp, ss as u64, 0], count: WORDS - 1 },
        }
    }

    /// Its words.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        self.words.get(..self.count).unwrap_or(&self.words)
    }

    /// Where it goes: below `stack`, which is aligned to 16 bytes first, as the processor does.
    #[must_use]
    pub const fn place(&self, stack: u64) -> u64 {
        (stack & !15).wrapping_sub(self.count as u64 * 8)
    }

    /// Whether it would lie in the first page or wrap around: a stack that nobody means.
    #[must_use]
    pub const fn is_nonsense(&self, stack: u64) -> bool {
        stack < PAGE || !is_canonical(self.place(stack))
    }
}

/// Where a guest's kernel returns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    /// To a user program; otherwise to itself.
    pub user: bool,
    /// Events are masked there.
    pub masked: bool,
    /// `sysret` will do: rcx and r11 are lost anyway.
    pub lose_rcx_r11: bool,
    /// Flags for the processor.
    pub rflags: u64,
    /// Code segment, with privilege 3.
    pub cs: u16,
    /// Stack segment, with privilege 3.
    pub ss: u16,
    /// Where to; a non-canonical one is a fault of the guest, before it returns.
    pub rip: u64,
    /// Stack.
    pub rsp: u64,
}

impl Return {
    /// Reads a frame that was copied from the guest's stack.
    #[must_use]
    pub const fn of(frame: &IretContext) -> Self {
        Self {
            user: frame.cs & 3 == 3,
            masked: frame.rflags & INTERRUPTS == 0,
            lose_rcx_r11: frame.flags & IN_SYSCALL != 0,
            rflags: frame.rflags & CHOSEN | INTERRUPTS | ALWAYS,
            cs: frame.cs as u16 | 3,
            ss: frame.ss as u16 | 3,
            rip: frame.rip,
            rsp: frame.rsp,
        }
    }

    /// Whether there can be code.
    #[must_use]
    pub const fn is_possible(&self) -> bool {
        is_canonical(self.rip)
    }
}

/// Whether bits 47 and up are alike.
pub(crate) const fn is_canonical(address: u64) -> bool {
    (address.cast_signed() << 16 >> 16).cast_unsigned() == address
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;
    use crate::memory::fake::FakeArguments;

    fn info(vector: u8, flags: u8, address: u64) -> TrapInfo {
        TrapInfo { vector, flags, cs: 0xe033, pad: 0, address }
    }

    #[test]
    fn a_list_ends_with_an_empty_entry() {
        let memory = FakeArguments::default();
        let list = [info(3, 3, 0x1000), info(14, 4, 0x2000), info(0, 0, 0), info(13, 0, 0x3000)];
        memory.place(0x100, list.as_bytes());
        let mut table = TrapTable::new();
        table.load(&memory, 0x100).unwrap();
        assert_eq!(table.gate(3), Some(Gate { address: 0x1000, masks_events: false, from_user: true }));
        assert_eq!(table.gate(14), Some(Gate { address: 0x2000, masks_events: true, from_user: false }));
        assert_eq!(table.gate(13), None, "behind the end");
        table.load(&memory, 0).unwrap();
        assert_eq!(table, TrapTable::new());
    }

    #[test]
    fn lists_without_an_end_end_all_the_same() {
        let memory = FakeArguments::default();
        let mut table = TrapTable::new();
        memory.place(0x1_0000, [info(1, 0, 0x1000); 256].as_bytes());
        assert_eq!(table.load(&memory, 0x1_0000), Err(Errno::Fault));
        memory.place(0x1_0000, [info(1, 0, 0x1000); 300].as_bytes());
        assert_eq!(table.load(&memory, 0x1_0000), Err(Errno::Invalid));
        memory.place(0x2_0000, info(1, 0, 1 << 60).as_bytes());
        assert_eq!(table.load(&memory, 0x2_0000), Err(Errno::Invalid));
    }

    #[test]
    fn a_new_vcpu_brings_its_table_by_vector() {
        let mut context = GuestContext::default();
        // The vector inside is not looked at: some leave it 0.
        context.trap_ctxt[14] = info(0, 4, 0x2000);
        let table = TrapTable::of_context(&context).unwrap();
        assert_eq!(table.gate(14).map(|gate| gate.address), Some(0x2000));
        assert_eq!(table.gate(0), None);
    }

    #[test]
    fn frames_tell_of_mask_and_privilege() {
        let mut of =
            Interrupted { rip: 1, rflags: 0x202, rsp: 0x5008, cs: 0xe033, ss: 0xe02b, ..Interrupted::default() };
        (of.rcx, of.r11, of.masked) = (7, 8, true);
        let frame = Frame::new(&of, Some(0x15));
        assert_eq!(frame.words(), [7, 8, 0x15, 1, 1 << 32 | 0xe030, 2, 0x5008, 0xe02b]);
        assert_eq!(frame.place(0x5008), 0x5000 - 64);
        (of.user, of.masked) = (true, false);
        let frame = Frame::new(&of, None);
        assert_eq!(frame.words(), [7, 8, 1, 0xe033, 0x202, 0x5008, 0xe02b]);
        assert!(frame.is_nonsense(0x80) && frame.is_nonsense(1 << 50) && !frame.is_nonsense(0x5008));
    }

    #[test]
    fn returns_are_made_harmless() {
        let frame = IretContext { cs: 0xe030, rflags: u64::MAX, rip: 5, ss: 0xe028, ..IretContext::default() };
        let back = Return::of(&frame);
        assert_eq!((back.cs, back.ss, back.user, back.masked), (0xe033, 0xe02b, false, false));
        let (iopl, nt, vm, vif) = (3 << 12, 1 << 14, 1 << 17, 3 << 19);
        assert_eq!(back.rflags & (iopl | nt | vm | vif), 0);
        let user = Return::of(&IretContext { cs: 0x33, flags: IN_SYSCALL, rip: 1 << 47, ..frame });
        assert!(user.user && user.lose_rcx_r11 && !user.is_possible());
        let masked = Return::of(&IretContext { rflags: 0, ..frame });
        assert_eq!((masked.masked, masked.rflags), (true, 0x202), "the processor's own flag stays on");
    }
}
