// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What one vCPU has queued, and another one needs.

use super::super::Service;
use super::world::World;
use crate::abi::mmu::MmuUpdate;

/// Two tables of level 3 lead to one of level 2. A vCPU leads its table elsewhere, and that stands in its queue; the
/// other gives up its own. Nothing leads to the table of level 2 then: it has to go, though the kernel's own count
/// says that it is in use until that queue is empty.
#[test]
fn a_table_goes_though_its_last_entry_is_in_anothers_queue() {
    let mut world = World::new(8);
    let [one, other, shared, new] = [2, 6, 5, 9];
    world.set_entry(one, 255, shared << 12 | 0x67);
    world.set_entry(other, 256, shared << 12 | 0x67);
    world.turn(0).pin(one, 3).unwrap();
    world.turn(1).pin(other, 3).unwrap();
    // What becomes a table flushes, which empties queues.
    world.turn(1).pin(new, 2).unwrap();
    world.turn(1).commit().unwrap();
    assert_eq!(world.mmu.table(shared).0, 2);

    world.turn(1).update(&MmuUpdate { ptr: (one << 12) + 255 * 8, val: new << 12 | 0x67 }).unwrap();
    world.turn(1).commit().unwrap();
    assert_eq!(world.calls[1].queued(), 1);
    world.turn(0).unpin(other).unwrap();

    assert_eq!([shared, new].map(|frame| world.mmu.table(frame).0), [0, 2]);
    world.audit();
}
