// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The hypercalls that Linux makes all the time: page tables, what a switch of processes takes, its timer.
//!
//! They neither wait nor enter the guest elsewhere, so its registers stay where they are, and the
//! assembly goes back without a turn. Whatever is unusual about a call is left to the long way,
//! which begins anew with what is left to do:
//!
//! ```text
//!   quick ─▶ short ──┬─ done ─────────────────────────────▶ exit_back
//!                    └─ rest of a multicall, odd call ────▶ turn ─▶ hypercall
//! ```

use parzelle_xen::abi::mmu::{MmuUpdate, MmuextCommand, MmuextOp, MulticallEntry};
use parzelle_xen::abi::trap::SegmentBase;
use parzelle_xen::abi::vcpu::VcpuCommand;
use parzelle_xen::abi::{DOMID_SELF, Errno, Hypercall};
use parzelle_xen::decode::{Batch, Flush};
use parzelle_xen::memory::{Arguments, Frames};
use parzelle_xen::mmu::Extended;

use zerocopy::IntoBytes;

use crate::own;
use crate::run::Runner;

/// The numbers of these calls, as bits.
pub(crate) const QUICK: u32 = {
    const CALLS: [Hypercall; 9] = [
        Hypercall::MmuUpdate,
        Hypercall::StackSwitch,
        Hypercall::FpuTaskSwitch,
        Hypercall::UpdateDescriptor,
        Hypercall::Multicall,
        Hypercall::UpdateVaMapping,
        Hypercall::SetSegmentBase,
        Hypercall::MmuextOp,
        Hypercall::VcpuOp,
    ];
    let (mut mask, mut index) = (0, 0);
    while index < CALLS.len() {
        mask |= 1 << CALLS[index] as u32;
        index += 1;
    }
    mask
};

const MMU_UPDATE: u64 = Hypercall::MmuUpdate as u64;
const STACK_SWITCH: u64 = Hypercall::StackSwitch as u64;
const TASK_SWITCH: u64 = Hypercall::FpuTaskSwitch as u64;
const UPDATE_DESCRIPTOR: u64 = Hypercall::UpdateDescriptor as u64;
const UPDATE_VA_MAPPING: u64 = Hypercall::UpdateVaMapping as u64;
const SEGMENT_BASE: u64 = Hypercall::SetSegmentBase as u64;
const MMUEXT_OP: u64 = Hypercall::MmuextOp as u64;
const VCPU_OP: u64 = Hypercall::VcpuOp as u64;
const MULTICALL: u64 = Hypercall::Multicall as u64;

/// Bytes of a multicall's entry.
const ENTRY: u64 = size_of::<MulticallEntry>() as u64;
/// Where that has its result.
const RESULT: u64 = core::mem::offset_of!(MulticallEntry, result) as u64;

/// What the assembly is told: the result, and whether something is left.
#[repr(C)]
pub(crate) struct Done {
    result: u64,
    rest: u64,
}

/// Called by the assembly. A part of a multicall may be done when something is left: then the arguments
/// say what is.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) extern "C" fn short(runner: &mut Runner, arguments: &mut [u64; 6], number: u64) -> Done {
    runner.vcpu.is_in_kernel();
    let result = if number == MULTICALL { runner.several(arguments) } else { runner.one(number, arguments) };
    match result {
        Some(result) => {
            let committed = runner.commit();
            Done { result: if result == 0 { committed.map_or_else(Errno::result, |()| 0) } else { result }, rest: 0 }
        }
        None => Done { result: 0, rest: 1 },
    }
}

/// Called by the assembly: one entry of a table, at this address of an `mmu_update`. Not 0: nothing is done.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) extern "C" fn single(list: u64, runner: &mut Runner) -> u64 {
    let due = runner
        .space
        .pair(list)
        .and_then(|[ptr, val]| runner.space.try_quick(|turn| turn.update_leaf(&MmuUpdate { ptr, val })));
    match due {
        Some(false) => 0,
        Some(true) => due_after_single(runner),
        None => single_otherwise(list, runner),
    }
}

/// It can't fail: roots are not among it.
#[inline(never)]
fn due_after_single(runner: &mut Runner) -> u64 {
    runner.commit_what_is_due().map_or_else(Errno::result, |()| 0)
}

#[inline(never)]
fn single_otherwise(list: u64, runner: &mut Runner) -> u64 {
    let Some([ptr, val]) = runner.space.pair(list) else { return 1 };
    if runner.space.quick(|turn| turn.update(&MmuUpdate { ptr, val })) != Some(Ok(())) {
        return 1;
    }
    runner.commit().map_or_else(Errno::result, |()| 0)
}

/// Called by the assembly: both roots of another process, by an `mmuext_op` at this address. Not 0: nothing is done.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) extern "C" fn roots(list: u64, runner: &mut Runner) -> u64 {
    runner.roots(list).map_or(1, |()| 0)
}

/// Called by the assembly: one operation of an `mmuext_op`, if it is to flush this vCPU's TLB. Not 0: nothing is done.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) extern "C" fn flush(list: u64, runner: &mut Runner) -> u64 {
    const FLUSH: u32 = MmuextCommand::TlbFlushLocal as u32;
    const PAGE: u32 = MmuextCommand::InvlpgLocal as u32;
    let is_flush = runner.space.pair(list).is_some_and(|[command, _]| matches!(command as u32, FLUSH | PAGE));
    // All that was due before is done.
    u64::from(!is_flush || runner.space.quick(|turn| turn.flush_here()).is_none())
}

impl Runner {
    fn roots(&mut self, list: u64) -> Option<()> {
        const SECOND: u64 = size_of::<MmuextOp>() as u64;
        let [first, kernel] = self.space.pair(list)?;
        let [second, user] = self.space.pair(list.wrapping_add(SECOND))?;
        let (one, other) = (MmuextCommand::NewBaseptr as u32, MmuextCommand::NewUserBaseptr as u32);
        if first as u32 != one || second as u32 != other {
            return None;
        }
        self.space.quick(|turn| turn.switch(kernel, user))??;
        *self.vcpu.own(own::ROOT) = self.shared.ram.page(user)?.address(0);
        Some(())
    }

    /// The calls of a multicall, until there comes an odd one.
    fn several(&mut self, arguments: &mut [u64; 6]) -> Option<u64> {
        let [at, count, ..] = arguments;
        while *count != 0 {
            let MulticallEntry { op, args, .. } = self.space.get(*at).ok()?;
            if op > 31 || QUICK >> op & 1 == 0 || op == MULTICALL {
                return None;
            }
            let result = self.one(op, &args)?;
            self.space.put_word(at.wrapping_add(RESULT), result).ok()?;
            *at = at.wrapping_add(ENTRY);
            *count -= 1;
        }
        Some(0)
    }

    /// One call, if it is to be done here.
    #[inline]
    fn one(&mut self, number: u64, &[a, b, c, d, ..]: &[u64; 6]) -> Option<u64> {
        let result = match number {
            MMU_UPDATE if d as u16 == DOMID_SELF => self.mmu_update(&Batch::new(a, b as u32, c)),
            MMUEXT_OP if d as u16 == DOMID_SELF => self.mmuext_op(&Batch::new(a, b as u32, c)),
            STACK_SWITCH => self.stack_switch(b),
            TASK_SWITCH => {
                self.vcpu.task_switched = a != 0;
                Ok(0)
            }
            SEGMENT_BASE => self.set_segment_base(SegmentBase::from_number(a)?, b),
            UPDATE_DESCRIPTOR => self.update_descriptor(a, b),
            VCPU_OP if a == VcpuCommand::SetSingleshotTimer as u64 && b == u64::from(self.vcpu.index) => {
                let [timeout, _] = self.space.pair(c)?;
                self.shared.domain.set_timer_ahead(self.vcpu.index, timeout, &self.host)?;
                Ok(0)
            }
            UPDATE_VA_MAPPING => self.update_va_mapping(a, b, Flush::from_flags(c)?),
            _ => return None,
        };
        Some(result.unwrap_or_else(Errno::result))
    }

    /// Entries of page tables.
    pub(crate) fn mmu_update(&mut self, batch: &Batch<MmuUpdate>) -> Result<u64, Errno> {
        let space = &self.space;
        let mut done = 0;
        let mut result = Ok(());
        while done < batch.len() && result.is_ok() {
            let some = self.updates.len().min((batch.len() - done) as usize);
            let updates = self.updates.get_mut(..some).unwrap_or_default();
            if space.copy(batch.at(done), updates.as_mut_bytes()) {
                let (count, ended) = space.turn(|turn| turn.update_all(updates)).unwrap_or((0, Err(Errno::Busy)));
                result = ended;
                done += count as u32;
            } else {
                // Where memory has to be mended first, one by one.
                result = batch
                    .entry(space, done)
                    .and_then(|update| space.turn(|turn| turn.update(&update)).unwrap_or(Err(Errno::Busy)));
                done += u32::from(result.is_ok());
            }
        }
        batch.report(space, done)?;
        result.map(|()| 0)
    }

    /// Operations on whole tables.
    pub(crate) fn mmuext_op(&mut self, batch: &Batch<MmuextOp>) -> Result<u64, Errno> {
        let mut done = 0;
        let mut result = Ok(());
        while done < batch.len() && result.is_ok() {
            let space = &self.space;
            let at = batch.at(done);
            let words = space.pair(at).zip(space.pair(at.wrapping_add(8)));
            let operation = match words {
                Some(([cmd, _], [arg1, arg2])) => Ok(MmuextOp { cmd: cmd as u32, arg1, arg2, ..MmuextOp::default() }),
                None => batch.entry(space, done),
            };
            let extend = |operation| space.turn(|turn| turn.extended(&operation, space)).unwrap_or(Err(Errno::Busy));
            result = match operation.and_then(extend) {
                Ok(Extended::Done) => Ok(()),
                Ok(Extended::Ldt { address, entries }) => self.set_ldt(address, entries),
                Err(errno) => Err(errno),
            };
            done += u32::from(result.is_ok());
        }
        batch.report(&self.space, done)?;
        result.map(|()| 0)
    }
}
