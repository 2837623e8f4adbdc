// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Lowering: a validated system and its built programs become the plan and the payload.
//!
//! ```text
//!   System ─┐
//!   Program ┼─► Draft: spaces, objects, blocks of memory, payload    no physical address yet
//!   files  ─┘     │
//!                 ▼          sizes of plan, arena and page tables
//!               emit ──────────────────────┐
//!                 ▲                        ▼
//!                 └──── measure: the kernel's own boot, on the host
//! ```
//! Where things lie depends on how much there is before them, and how much the kernel needs on
//! where things lie; so both are repeated until nothing changes (twice, in practice).

mod blocks;
mod cell;
mod consoles;
mod devices;
mod emit;
mod findings;
mod guest;
mod health;
mod info;
mod links;
mod measure;
mod names;
mod native;
mod payload;
mod pci;
mod program;
mod prove;
pub mod report;
mod rights;
mod share;
#[cfg(test)]
mod tests;
mod time;

pub use guest::GuestFiles;
pub use program::{Program, Segment, Unfit};
pub use prove::{Proof, prove};
pub use report::{Entry, Report};

use parzelle_abi::PAGE;
use parzelle_plan::READ;
use parzelle_schema::diagnostic::Diagnostic;

use crate::model::{Board, OptionValue, System};
use blocks::{Block, BlockId, Blocks, NoRoom};
use cell::{Backing, Cell};
use payload::Payload;

/// The kernel, as far as lowering cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Where it is loaded (physical).
    pub load: u64,
    /// Its bytes in memory, from there to the end of its bss: the plan begins at the next page.
    pub bytes: u64,
}

/// All that goes into a plan.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The system, on one board.
    pub system: &'a System,
    /// Each partition's program (for a guest: the shim's).
    pub programs: &'a [Program],
    /// Each partition's guest files; empty for native ones.
    pub guests: &'a [GuestFiles],
    /// The loader.
    pub loader: &'a Program,
    /// The kernel.
    pub kernel: Kernel,
}

/// What an image consists of behind the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// The plan, padded to whole pages.
    pub plan: Vec<u8>,
    /// The payload, whole pages.
    pub payload: Vec<u8>,
    /// What `inspect` shows beside the plan.
    pub report: Report,
}

/// Why there is no plan.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The description asks for what can't be.
    Findings(Vec<Diagnostic>),
    /// The tool has made a plan that the kernel would refuse. A bug of the tool.
    Internal(String),
}

/// Everything but physical addresses.
pub(crate) struct Draft {
    order: time::Order,
    cells: Vec<Cell>,
    channels: Vec<links::Channel>,
    payload: Payload,
    /// By partition: where its information pages lie in the payload, and its guest.
    infos: Vec<(u64, Option<guest::Guest>)>,
    blocks: Blocks,
    arena: BlockId,
    tables: BlockId,
    /// By core: the trace ring.
    rings: Vec<BlockId>,
    loader_entry: u64,
}

/// What is measured, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    plan: u64,
    arena: u64,
    tables: u64,
}

/// Rounds before the sizes have to stand: each can only grow.
const ROUNDS: usize = 8;

/// Makes the plan.
///
/// # Errors
/// Findings about memory (PZ03…), or a bug of the tool.
pub fn lower(inputs: &Inputs<'_>) -> Result<Lowered, Failure> {
    let mut draft = draft(inputs).map_err(Failure::Findings)?;
    let mut sizes = Sizes { plan: PAGE, arena: PAGE, tables: PAGE };
    for _ in 0..ROUNDS {
        draft.blocks.resize(draft.arena, sizes.arena);
        draft.blocks.resize(draft.tables, sizes.tables);
        let places = emit::place(inputs.system, &draft, inputs.kernel, &sizes)
            .map_err(|no_room| refuse(inputs, &draft, &no_room))?;
        draft.tell(inputs.system, &places);
        let emitted = emit::emit(inputs.system, &draft, inputs.kernel, &places);
        let plan = emitted.write();
        let measured = measure::measure(&plan).map_err(|obstacle| blocked(inputs.system, obstacle))?;
        let needed = Sizes {
            plan: sizes.plan.max((plan.len() as u64).next_multiple_of(PAGE)),
            arena: sizes.arena.max(measured.arena),
            tables: sizes.tables.max(measured.tables),
        };
        if needed == sizes {
            return Ok(finish(inputs, &draft, &places, plan));
        }
        sizes = needed;
    }
    Err(Failure::Internal("the sizes of plan and arenas do not settle".to_owned()))
}

fn refuse(inputs: &Inputs<'_>, draft: &Draft, no_room: &NoRoom) -> Failure {
    Failure::Findings(vec![findings::no_room(
        inputs.system,
        &draft.blocks,
        inputs.kernel,
        draft.payload.bytes(),
        no_room,
    )])
}

/// A bound of the kernel's is a finding about what goes beyond it, where that can be named.
fn blocked(system: &System, obstacle: measure::Obstacle) -> Failure {
    match obstacle {
        measure::Obstacle::Refused(refusal) => match findings::refused(system, &refusal) {
            Some(found) => Failure::Findings(vec![found]),
            None => Failure::Internal(format!("the kernel would refuse this plan: {refusal}")),
        },
        measure::Obstacle::Bug(why) => Failure::Internal(why),
    }
}

fn finish(inputs: &Inputs<'_>, draft: &Draft, places: &emit::Places, mut plan: Vec<u8>) -> Lowered {
    plan.resize(plan.len().next_multiple_of(PAGE as usize), 0);
    let payload = draft.payload.parts().iter().flat_map(|part| &part.bytes).copied().collect();
    Lowered { plan, payload, report: report::report(inputs.system, draft, places) }
}

impl Draft {
    /// Tells partitions where memory lies for their devices.
    fn tell(&mut self, system: &System, places: &emit::Places) {
        let all = self.cells.iter_mut().zip(&system.partitions).zip(&self.infos).enumerate();
        for (index, ((cell, partition), (offset, guest))) in all {
            if !cell.buses.is_empty() {
                cell.tell(|backing| places.physical(backing));
                self.payload.replace(*offset, info::pages(index, partition, cell, guest.as_ref()));
            }
        }
    }
}

/// Lays out all partitions.
fn draft(inputs: &Inputs<'_>) -> Result<Draft, Vec<Diagnostic>> {
    let system = inputs.system;
    let mut found = Vec::new();
    let mut payload = Payload::default();
    let mut blocks = Blocks::default();
    let arena = blocks.add(kernel_block("kernel objects"));
    let tables = blocks.add(kernel_block("page tables"));
    let rings = rights::trace_rings(system, &mut blocks);
    let mut cells = Vec::new();
    for (index, (partition, program)) in system.partitions.iter().zip(inputs.programs).enumerate() {
        let cell =
            native::lay_out(index, system.board.arch, partition, program, inputs.loader, &mut payload, &mut blocks);
        cells.push(cell.unwrap_or_else(|needed| {
            found.push(findings::too_little_memory(partition, needed));
            Cell::new(0)
        }));
    }
    let channels = links::channels(system, &mut blocks);
    links::ports(system, &channels, &mut cells);
    links::shared(system, &mut blocks, &mut cells);
    share::links(system, &mut blocks, &mut cells);
    consoles::consoles(system, &mut blocks, &mut cells);
    found.extend(devices::devices(system, &mut cells));
    rights::objects(system, &rings, &blocks, &mut cells);
    let mut infos = Vec::new();
    for (index, (cell, partition)) in cells.iter_mut().zip(&system.partitions).enumerate() {
        if partition.guest.is_some() && gic(&system.board) == 2 {
            found.push(findings::guest_on_old_gic(partition));
        }
        let files = inputs.guests.get(index).filter(|_| partition.guest.is_some());
        let mut add = |files| guest::add(index, partition, files, &system.board, cell, &mut payload, &mut blocks);
        let guest = match files.map(&mut add).transpose() {
            Ok(guest) => guest,
            Err(needed) => {
                found.push(findings::guest_too_small(partition, needed));
                None
            }
        };
        let pages = info::pages(index, partition, cell, guest.as_ref());
        let (offset, bytes) = payload.add(&format!("info of {}", partition.name), pages);
        let address = cell.base + parzelle_abi::info::layout::INFO;
        cell.map("info", address, Backing::Image(offset), bytes, READ);
        infos.push((offset, guest));
        found.extend(findings::overlap(partition, cell));
    }
    if !found.is_empty() {
        return Err(found);
    }
    let order = time::Order::new(system);
    let loader_entry = inputs.loader.entry;
    Ok(Draft { order, cells, channels, payload, infos, blocks, arena, tables, rings, loader_entry })
}

/// A block of the kernel's, to be resized when its size is known.
fn kernel_block(name: &str) -> Block {
    Block {
        parts: vec![blocks::Part { name: name.to_owned(), bytes: 0, zero: true }],
        partition: None,
        users: Vec::new(),
        wish: None,
        owner: "kernel".to_owned(),
        why: "kernel",
    }
}

/// The version of the board's interrupt controller, where it has a choice.
pub(crate) fn gic(board: &Board) -> u32 {
    match board.options.get("gic") {
        Some(OptionValue::Number(number)) => u32::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}
