// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Hypercalls: processor state here, page tables and the rest elsewhere.
//!
//! ```text
//!   registers ─▶ decode ─┬─▶ traps, callbacks, stack, segments    this vCPU
//!                        ├─▶ mmu_update, mmuext_op, …            Space::turn, then commit
//!                        ├─▶ multicall: each of them             one commit for all
//!                        └─▶ everything else                     Domain
//! ```

use parzelle_xen::abi::trap::{Callback, SegmentBase};
use parzelle_xen::abi::{Errno, Hypercall};
use parzelle_xen::decode::{Call, Flush, MulticallBatch, Refusal, Request, VcpuRequest};
use parzelle_xen::domain::{Answer, Next};
use parzelle_xen::mmu::Turn;

use crate::failure::Failure;
use crate::instructions::{is_canonical, set_fs_base};
use crate::own;
use crate::run::Runner;
use crate::vcpu::register;

impl Runner {
    /// Carries out the hypercall that the registers say.
    ///
    /// # Errors
    /// A return with no frame: the guest is beyond help.
    pub fn hypercall(&mut self) -> Result<Next, Failure> {
        let general = &self.vcpu.general;
        let arguments = [register::RDI, register::RSI, register::RDX, register::R10, register::R8, register::R9];
        let call = Call { number: general[register::RAX], arguments: arguments.map(|number| general[number]) };
        if call.number == u64::from(Hypercall::Iret.number()) {
            self.iret()?;
            return Ok(Next::Resume);
        }
        let answer = match call.decode(&self.space) {
            Ok(Request::Multicall(batch)) => self.multicall(&batch),
            Ok(request) => self.request(&request),
            Err(refusal) => self.refused_call(refusal),
        };
        let committed = self.commit();
        self.vcpu.general[register::RAX] = match committed {
            Err(errno) if answer.result == 0 => errno.result(),
            _ => answer.result,
        };
        Ok(answer.next)
    }

    /// Makes changes of tables hold.
    #[inline]
    pub(crate) fn commit(&mut self) -> Result<(), Errno> {
        if self.space.is_due() { self.commit_what_is_due() } else { Ok(()) }
    }

    #[inline(never)]
    pub(crate) fn commit_what_is_due(&mut self) -> Result<(), Errno> {
        let result = self.space.turn(|turn| turn.commit()).unwrap_or(Ok(()));
        self.find_root();
        result
    }

    /// Several calls. What one of them waits for is waited for at the end.
    fn multicall(&mut self, batch: &MulticallBatch) -> Answer {
        let mut next = Next::Resume;
        for index in 0..batch.len() {
            let answer = match batch.call(&self.space, index) {
                Ok(call) => match call.decode_entry(&self.space) {
                    Ok(request) => self.request(&request),
                    Err(refusal) => self.refused_call(refusal),
                },
                Err(errno) => return errno.into(),
            };
            if let Err(errno) = batch.answer(&self.space, index, answer.result) {
                return errno.into();
            }
            if answer.next != Next::Resume {
                next = answer.next;
            }
        }
        Answer { result: 0, next }
    }

    #[cold]
    fn refused_call(&self, refusal: Refusal) -> Answer {
        Answer { result: self.shared.domain.refuse(refusal, &self.host), next: Next::Resume }
    }

    /// One request.
    pub(crate) fn request(&mut self, request: &Request) -> Answer {
        let result = match *request {
            Request::MmuUpdate(ref batch) => self.mmu_update(batch),
            Request::MmuextOp(ref batch) => self.mmuext_op(batch),
            Request::UpdateVaMapping { address, entry, flush } => self.update_va_mapping(address, entry, flush),
            Request::SetTrapTable { table } => {
                self.open = false;
                self.vcpu.traps.load(&self.space, table).map(|()| 0)
            }
            Request::SetGdt { frames, entries } => self.set_gdt(frames, entries),
            Request::UpdateDescriptor { at, descriptor } => self.update_descriptor(at, descriptor),
            Request::StackSwitch { rsp, .. } => self.stack_switch(rsp),
            Request::SetCallbacks { event, failsafe, syscall } => [
                self.register(Callback::Event, event, true),
                self.register(Callback::Failsafe, failsafe, false),
                self.register(Callback::Syscall, syscall, false),
            ]
            .into_iter()
            .find(|result| result.is_err())
            .unwrap_or(Ok(0)),
            Request::RegisterCallback { callback, address, masks_events } => {
                self.register(callback, address, masks_events)
            }
            Request::UnregisterCallback(Callback::Syscall32 | Callback::Sysenter | Callback::SysenterOld) => Ok(0),
            Request::UnregisterCallback(_) => Err(Errno::Invalid),
            Request::FpuTaskSwitch { set } => {
                self.vcpu.task_switched = set;
                Ok(0)
            }
            // Kept, but without effect: a guest has no breakpoints in registers.
            Request::SetDebugReg { register, value } => {
                self.vcpu.debug[usize::from(register & 7)] = value;
                Ok(0)
            }
            Request::GetDebugReg { register } => Ok(self.vcpu.debug[usize::from(register & 7)]),
            Request::SetSegmentBase { which, value } => self.set_segment_base(which, value),
            _ => return self.domain_request(request),
        };
        result.into()
    }

    fn domain_request(&mut self, request: &Request) -> Answer {
        let shared = self.shared;
        // What this vCPU has changed holds before others are told of it.
        if shared.vcpus > 1 && matches!(request, Request::Event(_)) {
            self.space.turn(|turn| turn.drain());
        }
        let answer = shared.domain.handle(self.vcpu.index, request, &self.space, &self.host);
        if let Request::Vcpu { request: VcpuRequest::RegisterVcpuInfo { .. }, .. } = request {
            self.find_info();
        }
        answer.unwrap_or_else(|| Errno::NoSystem.into())
    }

    pub(crate) fn update_va_mapping(&mut self, address: u64, entry: u64, flush: Flush) -> Result<u64, Errno> {
        let space = &self.space;
        let change = |turn: &mut Turn<'_, 'static, _, _>| {
            turn.update_address(address, entry)?;
            turn.flush(flush, space)
        };
        space.turn(change).unwrap_or(Err(Errno::Busy)).map(|()| 0)
    }

    #[inline]
    pub(crate) fn stack_switch(&mut self, rsp: u64) -> Result<u64, Errno> {
        if !is_canonical(rsp) {
            return Err(Errno::Invalid);
        }
        *self.vcpu.own(own::KERNEL_SP) = rsp & !15;
        Ok(0)
    }

    fn register(&mut self, callback: Callback, address: u64, masks: bool) -> Result<u64, Errno> {
        if !is_canonical(address) {
            return Err(Errno::Invalid);
        }
        self.open = false;
        let callbacks = &mut self.vcpu.callbacks;
        match callback {
            Callback::Event => callbacks.event = address,
            Callback::Failsafe => (callbacks.failsafe, callbacks.failsafe_masks) = (address, masks),
            Callback::Syscall => {
                (callbacks.syscall, callbacks.syscall_masks) = (address, masks);
                *self.vcpu.own(own::SYSCALL) = address;
            }
            // Never called: there are none.
            Callback::Nmi => {}
            // Then the guest uses `int`.
            Callback::Syscall32 | Callback::Sysenter | Callback::SysenterOld => return Err(Errno::NoSystem),
        }
        Ok(0)
    }

    pub(crate) fn set_segment_base(&mut self, which: SegmentBase, value: u64) -> Result<u64, Errno> {
        if which == SegmentBase::GsUserSelector {
            self.vcpu.load_user_gs(value as u16);
            return Ok(0);
        }
        if !is_canonical(value) {
            return Err(Errno::Invalid);
        }
        match which {
            SegmentBase::Fs => set_fs_base(value),
            SegmentBase::GsUser => self.vcpu.set_user_gs(value),
            SegmentBase::GsKernel => self.vcpu.set_kernel_gs(value),
            SegmentBase::GsUserSelector => {}
        }
        Ok(0)
    }
}
