// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

#![allow(clippy::unwrap_used, reason = "a panic here is the verdict of a test")]

use super::*;
use crate::memory::fake::{FakeArguments, FakeFrames, FakePage};

const AT: u64 = 0x1000;

struct Guest {
    arguments: FakeArguments,
    frames: FakeFrames,
}

impl Guest {
    fn new() -> Self {
        let arguments = FakeArguments::default();
        arguments.map(AT, 0x200);
        Self { arguments, frames: FakeFrames::new(16) }
    }
}

impl Arguments for Guest {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        self.arguments.read(address, into)
    }
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        self.arguments.write(address, from)
    }
}

impl Frames for Guest {
    type Page = FakePage;
    fn page(&self, frame: u64) -> Option<FakePage> {
        self.frames.page(frame)
    }
}

fn lend(page: &FakePage, index: usize, flags: u64, frame: u64) {
    page.store64(index * 8, flags | frame << 32);
}

#[test]
fn a_table_of_the_shim_grows_as_asked() {
    let guest = Guest::new();
    guest.frames.0[5].store64(8, 77);
    let grants = Grants::new(4, Some(4));
    let size = |now: u32| {
        guest.put(AT, &QuerySize { dom: DOMID_SELF, ..QuerySize::default() }).unwrap();
        assert_eq!(grants.answer(GrantCommand::QuerySize, AT, 1, &guest), Ok(0));
        let told: QuerySize = guest.get(AT).unwrap();
        assert_eq!((told.nr_frames, told.max_nr_frames, told.status), (now, 4, status::OKAY));
    };
    let set_up = |nr_frames: u32| {
        let asked = SetupTable { dom: DOMID_SELF, nr_frames, frame_list: AT + 0x100, ..SetupTable::default() };
        guest.put(AT, &asked).unwrap();
        assert_eq!(grants.answer(GrantCommand::SetupTable, AT, 1, &guest), Ok(0));
        guest.get::<SetupTable>(AT).unwrap().status
    };
    size(1);
    assert_eq!(set_up(2), status::OKAY);
    size(2);
    assert_eq!(guest.get::<[u64; 3]>(AT + 0x100), Ok([4, 5, 0]));
    assert_eq!(guest.frames.0[5].load64(8), 0, "begins empty");
    assert_eq!(set_up(5), status::GENERAL_ERROR);
    // What is there already stays as it is.
    lend(&guest.frames.0[4], 8, 1, 9);
    assert_eq!(set_up(4), status::OKAY);
    assert_eq!(grants.find(8, Use::Write), Ok(9));
    guest.put(AT, &SetupTable { dom: 3, nr_frames: 1, ..SetupTable::default() }).unwrap();
    assert_eq!(grants.answer(GrantCommand::SetupTable, AT, 1, &guest), Ok(0));
    assert_eq!(guest.get::<SetupTable>(AT).unwrap().status, status::BAD_DOMAIN);
}

#[test]
fn what_only_servers_need_is_refused() {
    let guest = Guest::new();
    let grants = Grants::<FakePage>::new(4, None);
    for command in GrantCommand::ALL {
        let result = grants.answer(*command, AT, 1, &guest);
        match command {
            GrantCommand::QuerySize | GrantCommand::GetVersion => assert_eq!(result, Ok(0)),
            // Without frames of its own the table isn't to be had so.
            _ => assert!(matches!(result, Err(Errno::NoSystem) | Ok(0)), "{command:?}"),
        }
    }
    assert_eq!(grants.answer(GrantCommand::QuerySize, AT, 2, &guest), Err(Errno::Invalid));
    assert_eq!(grants.answer(GrantCommand::QuerySize, 0, 1, &guest), Err(Errno::Fault));
}

#[test]
fn a_reference_is_looked_up_with_its_rights() {
    let guest = Guest::new();
    let grants = Grants::new(2, None);
    assert_eq!(grants.find(8, Use::Read), Err(NotGranted), "no table yet");
    let page = guest.frames.0[3].clone();
    assert_eq!(grants.place(0, page.clone()), Ok(()));
    assert_eq!(grants.place(2, page.clone()), Err(Errno::Invalid));
    assert_eq!(grants.place(u64::MAX, page.clone()), Err(Errno::Invalid));
    lend(&page, 8, u64::from(PERMIT_ACCESS), 7);
    lend(&page, 9, u64::from(PERMIT_ACCESS | READ_ONLY), 7);
    lend(&page, 10, 2, 7);
    lend(&page, 11, u64::from(PERMIT_ACCESS), 16);
    assert_eq!(grants.find(8, Use::Write), Ok(7));
    assert_eq!(grants.find(9, Use::Read), Ok(7));
    assert_eq!(grants.find(9, Use::Write), Err(NotGranted));
    assert_eq!(grants.find(10, Use::Read), Err(NotGranted), "lent otherwise");
    assert!(grants.page(11, Use::Read, &guest).is_err(), "no such frame");
    assert!(grants.page(8, Use::Read, &guest).is_ok());
    for reference in [512, 1024, u32::MAX] {
        assert_eq!(grants.find(reference, Use::Read), Err(NotGranted));
    }
}
