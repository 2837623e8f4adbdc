// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Rights: as records for the kernel, as objects for their holder.

use std::collections::BTreeMap;

use parzelle_abi::PAGE;
use parzelle_abi::info::ObjectKind;
use parzelle_plan::{READ, RIGHT_CONTROL, RIGHT_MODULE, RIGHT_SCHEDULE, RIGHT_STATISTICS, RightRecord};

use super::blocks::{Block, BlockId, Blocks, Part};
use super::cell::{Backing, Cell, object};
use crate::model::{ModuleRight, Rights, System};

/// Makes the trace ring of each core.
pub(crate) fn trace_rings(system: &System, blocks: &mut Blocks) -> Vec<BlockId> {
    let bytes = system.trace.value.next_multiple_of(PAGE).max(PAGE);
    (0..system.cores)
        .map(|core| {
            blocks.add(Block {
                parts: vec![Part { name: format!("trace of core {core}"), bytes, zero: true }],
                partition: None,
                users: Vec::new(),
                wish: None,
                owner: "kernel".to_owned(),
                why: "trace",
            })
        })
        .collect()
}

/// A partition's rights, sorted by kind, then target.
pub(crate) fn records(rights: &Rights) -> Vec<RightRecord> {
    let right = |kind| move |target: usize| RightRecord { kind, target: target as u32 };
    let mut all: Vec<RightRecord> = Vec::new();
    all.extend(rights.switch_schedule.iter().map(|s| s.0).map(right(RIGHT_SCHEDULE)));
    all.extend(rights.start_stop.iter().map(|p| p.0).map(right(RIGHT_CONTROL)));
    all.extend(rights.statistics.iter().map(|p| p.0).map(right(RIGHT_STATISTICS)));
    all.extend(rights.module.iter().map(|m| match m {
        ModuleRight::Stop => right(RIGHT_MODULE)(0),
        ModuleRight::Reset => right(RIGHT_MODULE)(1),
    }));
    all.sort_by_key(|record| (record.kind, record.target));
    all
}

/// Tells each partition what it may do.
pub(crate) fn objects(system: &System, rings: &[BlockId], blocks: &Blocks, cells: &mut [Cell]) {
    for (cell, partition) in cells.iter_mut().zip(&system.partitions) {
        let may = &partition.may;
        let mut over: BTreeMap<usize, u64> = BTreeMap::new();
        for (bit, list) in [(0, &may.statistics), (1, &may.start_stop), (2, &may.trace)] {
            for target in list {
                *over.entry(target.0).or_default() |= 1 << bit;
            }
        }
        for (target, bits) in over {
            let title = system.partitions.get(target).map_or("", |p| p.name.as_str());
            let mut info = object(title, ObjectKind::Partition);
            (info.number, info.extra) = (target as u32, bits);
            cell.object(info);
        }
        for target in &may.switch_schedule {
            let title = system.schedules.get(target.0).map_or("", |s| s.name.as_str());
            let mut info = object(title, ObjectKind::Schedule);
            info.number = target.0 as u32;
            cell.object(info);
        }
        if !may.module.is_empty() {
            let mut info = object("module", ObjectKind::Module);
            info.extra = may.module.iter().fold(0, |bits, right| {
                bits | match right {
                    ModuleRight::Stop => 1,
                    ModuleRight::Reset => 2,
                }
            });
            cell.object(info);
        }
        if !may.trace.is_empty() {
            for (core, &ring) in rings.iter().enumerate() {
                let title = format!("trace of core {core}");
                let mut info = object(&title, ObjectKind::Trace);
                info.number = core as u32;
                info.size = blocks.get(ring).map_or(0, Block::bytes);
                info.address = cell.map_object(&title, Backing::Block(ring, 0), info.size, READ);
                cell.object(info);
            }
        }
    }
}
