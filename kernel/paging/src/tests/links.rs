// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Sharing the kernel's half between roots.

use super::history::History;
use super::{KERNEL, KIB4, MIB2, data};
use crate::format::LongMode;
use crate::mapping::{Access, Mapping};
use crate::{MapError, leaves, link, map, subtree, translate};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn kernel(va: u64, pa: u64, len: u64) -> Mapping {
    Mapping { access: Access::READ_WRITE, ..data(va, pa, len) }
}

#[test]
fn linked_roots_see_the_same_and_cannot_extend_it() -> Outcome {
    let text = kernel(KERNEL, MIB2, MIB2);
    let late = kernel(KERNEL + MIB2, 2 * MIB2, KIB4);
    let own = data(0, 4 * MIB2, MIB2);
    let mut tables = History::<LongMode>::new(20, &[text, late, own]);
    let owner = tables.root().ok_or("no root")?;
    let other = tables.root().ok_or("no root")?;
    map::<LongMode>(&mut tables, owner, &text)?;
    map::<LongMode>(&mut tables, other, &own)?;

    let half = subtree::<LongMode>(&tables, owner, 256).ok_or("no table")?;
    let used = tables.used();
    link::<LongMode>(&mut tables, other, half)?;
    assert_eq!(tables.used(), used);
    assert_eq!(tables.look(other, KERNEL + 5), tables.asked(KERNEL + 5));

    // Through the link nothing can be added, not even where nothing is mapped; through the owner it can.
    let steps = tables.steps.len();
    let refused = map::<LongMode>(&mut tables, other, &late);
    assert_eq!(refused, Err(MapError::Shared(KERNEL + MIB2)));
    assert_eq!(tables.steps.len(), steps);
    map::<LongMode>(&mut tables, owner, &late)?;
    assert_eq!(translate::<LongMode>(&tables, other, late.va), tables.asked(late.va));

    // A root sees what is its own and what is shared, and nothing of the other root.
    let seen = |root| leaves::<LongMode, _>(&tables, root).flatten().collect::<Vec<_>>();
    assert_eq!(seen(owner), [text, late]);
    assert_eq!(seen(other), [own, text, late]);
    Ok(())
}

#[test]
fn a_link_needs_a_table_and_a_free_entry() -> Outcome {
    let text = kernel(KERNEL, MIB2, MIB2);
    let mut tables = History::<LongMode>::new(20, &[text]);
    let owner = tables.root().ok_or("no root")?;
    map::<LongMode>(&mut tables, owner, &text)?;
    assert!(subtree::<LongMode>(&tables, owner, 255).is_none());
    assert!(subtree::<LongMode>(&tables, owner, 512).is_none());
    let half = subtree::<LongMode>(&tables, owner, 256).ok_or("no table")?;
    assert_eq!(link::<LongMode>(&mut tables, owner, half).err(), Some(MapError::Overlap(KERNEL)));
    Ok(())
}
