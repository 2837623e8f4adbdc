// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Answers that are always the same: versions, features, the memory map.

use zerocopy::IntoBytes;

use crate::abi::memory::{E820_BYTES, MachphysMapping, e820_ram};
use crate::abi::version::{CompileInfo, FeatureInfo, HYPERVISOR_START, VERSION, VersionCommand, feature};
use crate::abi::{Errno, PAGE};
use crate::decode::{MemoryRequest, Out};
use crate::memory::Arguments;

/// Bits of features that a guest can ask for: one word of them.
const SUBMAPS: u32 = 1;

/// Answers `xen_version`. The result of the call; a text goes to `argument`.
///
/// # Errors
/// [`Errno::Fault`]; [`Errno::NoSystem`]: nobody needs that.
pub fn version(command: VersionCommand, argument: u64, memory: &impl Arguments) -> Result<u64, Errno> {
    let text = |size: usize, text: &[u8]| {
        // A text is followed by zeros; none of them is longer than its room.
        let mut room = [0u8; 64];
        room.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        memory.write(argument, room.get(..size).unwrap_or(&room)).map(|()| 0)
    };
    match command {
        VersionCommand::Version => Ok(VERSION.into()),
        VersionCommand::ExtraVersion => text(16, b"-parzelle"),
        VersionCommand::Changeset => text(64, b"unavailable"),
        VersionCommand::CompileInfo => {
            let mut info = CompileInfo::default();
            info.compiler.iter_mut().zip(b"rustc").for_each(|(to, from)| *to = *from);
            memory.put(argument, &info).map(|()| 0)
        }
        VersionCommand::PlatformParameters => memory.put(argument, &HYPERVISOR_START).map(|()| 0),
        VersionCommand::GetFeatures => {
            let wanted: FeatureInfo = memory.get(argument)?;
            if wanted.submap_idx >= SUBMAPS {
                return Err(Errno::Invalid);
            }
            memory.put(argument, &FeatureInfo { submap: feature::OFFERED, ..wanted }).map(|()| 0)
        }
        VersionCommand::PageSize => Ok(PAGE),
        VersionCommand::GuestHandle => text(16, b""),
        VersionCommand::Capabilities | VersionCommand::CommandLine | VersionCommand::BuildId => Err(Errno::NoSystem),
    }
}

/// What there is to know of a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFacts {
    /// Its frames, from 0 on.
    pub frames: u64,
    /// Where the guest finds the machine-to-physical table.
    pub machine_to_physical: u64,
    /// How many frames that tells of: the guest's, and what it shares beyond them.
    pub machine_frames: u64,
}

impl MemoryFacts {
    /// Answers what is a question only. None: the request is more than that.
    pub fn answer(&self, request: &MemoryRequest, memory: &impl Arguments) -> Option<Result<u64, Errno>> {
        Some(match request {
            MemoryRequest::MaximumRamPage => Ok(self.machine_frames.saturating_sub(1)),
            MemoryRequest::CurrentReservation | MemoryRequest::MaximumReservation => Ok(self.frames),
            MemoryRequest::MaximumGpfn => Ok(self.frames.saturating_sub(1)),
            MemoryRequest::MachphysMapping(out) => self.mapping(out, memory),
            MemoryRequest::MemoryMap { room, buffer, count } => self.map(*room, *buffer, count, memory),
            MemoryRequest::Increase(_)
            | MemoryRequest::Decrease(_)
            | MemoryRequest::Populate(_)
            | MemoryRequest::Exchange { .. }
            | MemoryRequest::AddToPhysmap(_) => return None,
        })
    }

    fn mapping(&self, out: &Out<MachphysMapping>, memory: &impl Arguments) -> Result<u64, Errno> {
        let v_start = self.machine_to_physical;
        let v_end = v_start.saturating_add(self.machine_frames.saturating_mul(8));
        let max_mfn = self.machine_frames.saturating_sub(1);
        out.put(memory, &MachphysMapping { v_start, v_end, max_mfn }).map(|()| 0)
    }

    /// One range of memory. (Without any answer Linux assumes this and 8 MiB more to balloon into.)
    fn map(&self, room: u32, buffer: u64, count: &Out<u32>, memory: &impl Arguments) -> Result<u64, Errno> {
        if room == 0 {
            return Err(Errno::Invalid);
        }
        let entry: [u8; E820_BYTES] = e820_ram(0, self.frames.saturating_mul(PAGE));
        memory.write(buffer, entry.as_bytes())?;
        count.put(memory, &1).map(|()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Call, Request};
    use crate::memory::fake::FakeArguments;

    fn ask(memory: &FakeArguments, number: u64, command: u64) -> Request {
        Call { number, arguments: [command, 0x1000, 0, 0, 0, 0] }.decode(memory).unwrap()
    }

    #[test]
    fn linux_finds_the_features_without_which_it_panics() {
        let memory = FakeArguments::default();
        memory.map(0x1000, 8);
        assert_eq!(version(VersionCommand::GetFeatures, 0x1000, &memory), Ok(0));
        let FeatureInfo { submap, .. } = memory.get(0x1000).unwrap();
        assert_eq!(submap & (1 << 5 | 1 << 7), 1 << 5 | 1 << 7);
        assert_eq!(submap & (1 << 2 | 1 << 3), 0);
        memory.put(0x1000, &1u32).unwrap();
        assert_eq!(version(VersionCommand::GetFeatures, 0x1000, &memory), Err(Errno::Invalid));
    }

    #[test]
    fn texts_have_their_size() {
        let memory = FakeArguments::default();
        memory.map(0x1000, 16);
        assert_eq!(version(VersionCommand::ExtraVersion, 0x1000, &memory), Ok(0));
        assert_eq!(version(VersionCommand::Changeset, 0x1000, &memory), Err(Errno::Fault), "64 do not fit");
        assert_eq!(version(VersionCommand::Version, 0, &memory).unwrap() >> 16, 4);
    }

    #[test]
    fn the_memory_map_is_one_range() {
        let facts = MemoryFacts { frames: 0x1_0000, machine_to_physical: 0x1234_0000, machine_frames: 0x1_0010 };
        let memory = FakeArguments::default();
        memory.map(0x1000, 24);
        memory.map(0x2000, 20);
        memory.place(0x1000, &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0]);
        let Request::Memory(request) = ask(&memory, 12, 9) else { panic!() };
        assert_eq!(facts.answer(&request, &memory), Some(Ok(0)));
        assert_eq!(memory.get::<u32>(0x1000), Ok(1));
        assert_eq!(memory.get::<[u32; 5]>(0x2000), Ok([0, 0, 0x1000_0000, 0, 1]));
        let Request::Memory(request) = ask(&memory, 12, 12) else { panic!() };
        assert_eq!(facts.answer(&request, &memory), Some(Ok(0)));
        assert_eq!(memory.get::<[u64; 3]>(0x1000), Ok([0x1234_0000, 0x123c_0080, 0x1_000f]));
    }
}
