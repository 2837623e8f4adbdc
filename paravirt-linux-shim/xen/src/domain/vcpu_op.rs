// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `vcpu_op`: bringing vCPUs up and down, their areas and timers.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use spin::relax::RelaxStrategy;
use zerocopy::IntoBytes;

use super::{Answer, Domain, Host, Next, context};
use crate::abi::Errno;
use crate::abi::sched::Shutdown;
use crate::abi::shared::{TSC_STABLE, VcpuTimeInfo, at};
use crate::abi::trap::GuestContext;
use crate::decode::VcpuRequest;
use crate::memory::{Arguments, Frames, Page};

impl<P: Page, R: RelaxStrategy> Domain<'_, P, R> {
    /// Whether a vCPU is to run.
    #[inline]
    pub fn is_up(&self, vcpu: u32) -> bool {
        self.vcpu(vcpu).is_ok_and(|own| own.up.load(Ordering::Acquire))
    }

    /// Carries out what `vcpu` asks for concerning `which`.
    pub(super) fn vcpu_op<G: Arguments + Frames<Page = P>>(
        &self,
        vcpu: u32,
        which: u32,
        request: &VcpuRequest,
        guest: &G,
        host: &impl Host,
    ) -> Answer {
        let own = match self.vcpu(which) {
            Ok(own) => own,
            Err(errno) => return errno.into(),
        };
        let itself = which == vcpu;
        let result = match request {
            VcpuRequest::IsUp => Ok(u64::from(self.is_up(which))),
            VcpuRequest::SetSingleshotTimer { .. } | VcpuRequest::StopSingleshotTimer if !itself => Err(Errno::Invalid),
            VcpuRequest::SetSingleshotTimer { timeout, flags } => {
                self.set_timers(which, host, |timer, now| timer.set(*timeout, *flags, now))
            }
            VcpuRequest::StopSingleshotTimer => self.set_timers(which, host, |timer, _| {
                timer.stop();
                Ok(())
            }),
            VcpuRequest::SetPeriodicTimer(_) | VcpuRequest::StopPeriodicTimer if !itself => {
                self.set_others_periodic(which, request, host)
            }
            VcpuRequest::SetPeriodicTimer(period) => {
                self.set_timers(which, host, |timer, now| timer.set_periodic(*period, now))
            }
            VcpuRequest::StopPeriodicTimer => self.set_timers(which, host, |timer, _| {
                timer.stop_periodic();
                Ok(())
            }),
            VcpuRequest::Initialise { context } => self.initialise(which, *context, guest).map(|()| 0),
            VcpuRequest::Up => self.bring_up(which, host).map(|()| 0),
            VcpuRequest::Down => return self.take_down(vcpu, which, host),
            VcpuRequest::RegisterVcpuInfo { frame, offset } => {
                if !itself && self.is_up(which) {
                    Err(Errno::Invalid)
                } else {
                    self.register_info(vcpu, which, *frame, *offset, guest, host).map(|()| 0)
                }
            }
            VcpuRequest::RegisterRunstateArea(address) => {
                let area = Some(*address).filter(|address| *address != 0);
                {
                    let mut times = own.times.lock();
                    (times.area, times.shown) = (area, None);
                }
                self.show_account(which, guest);
                Ok(0)
            }
            VcpuRequest::GetRunstateInfo(out) => {
                let now = self.moment(host).guest;
                let mut account = own.times.lock().account;
                account.change(account.state(), now);
                out.put(guest, &account.info()).map(|()| 0)
            }
            VcpuRequest::RegisterTimeArea(address) => self.show_clock(*address, guest).map(|()| 0),
            VcpuRequest::SendNmi | VcpuRequest::GetPhysid(_) => Err(Errno::NoSystem),
        };
        result.into()
    }

    /// Sets the repeating timer of another vCPU, which has to set its host timer itself.
    fn set_others_periodic(&self, which: u32, request: &VcpuRequest, host: &impl Host) -> Result<u64, Errno> {
        let now = self.moment(host).guest;
        let mut times = self.vcpu(which)?.times.lock();
        match request {
            VcpuRequest::SetPeriodicTimer(period) => times.timer.set_periodic(*period, now)?,
            _ => times.timer.stop_periodic(),
        }
        drop(times);
        host.kick(which);
        Ok(0)
    }

    fn initialise(&self, which: u32, address: u64, memory: &impl Arguments) -> Result<(), Errno> {
        let mut life = self.vcpu(which)?.life.lock();
        if life.context.is_some() || life.started {
            return Err(Errno::Exists);
        }
        let begins = life.context.insert(GuestContext::default());
        let result = memory.read(address, begins.as_mut_bytes()).and_then(|()| {
            let known = self.events.vcpu_info(which).ok_or(Errno::Invalid)?;
            context::check(begins, self.memory.frames).map(|()| known)
        });
        match result {
            Ok((ref page, info)) => page.store8(info + at::UPCALL_MASK, 1),
            Err(_) => life.context = None,
        }
        result.map(|_| ())
    }

    fn bring_up(&self, which: u32, host: &impl Host) -> Result<(), Errno> {
        let own = self.vcpu(which)?;
        let mut life = own.life.lock();
        if life.context.is_none() && !life.started {
            return Err(Errno::Invalid);
        }
        if own.up.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let first = !life.started;
        life.started = true;
        drop(life);
        if !first {
            host.kick(which);
            return Ok(());
        }
        host.start_vcpu(which).inspect_err(|_| {
            own.up.store(false, Ordering::SeqCst);
            own.life.lock().started = false;
        })
    }

    fn take_down(&self, vcpu: u32, which: u32, host: &impl Host) -> Answer {
        if let Ok(own) = self.vcpu(which) {
            own.up.store(false, Ordering::SeqCst);
        }
        if !(0..self.vcpu_count()).any(|any| self.is_up(any)) {
            // Nobody is left who could bring one up. Who wants to be switched off says so; this is how Linux
            // stops that comes to grief before it can say anything.
            self.end(vcpu, host);
            return Answer::of(Next::Shutdown(Shutdown::Crash));
        }
        if which != vcpu {
            host.kick(which);
            return Answer::of(Next::Resume);
        }
        Answer::of(Next::Down)
    }

    fn register_info(
        &self,
        vcpu: u32,
        which: u32,
        frame: u64,
        offset: u32,
        frames: &impl Frames<Page = P>,
        host: &impl Host,
    ) -> Result<(), Errno> {
        let page = frames.page(frame).ok_or(Errno::Invalid)?;
        let set = self.events.register_vcpu_info(which, page.clone(), offset)?;
        if let Some(time) = P::LAYOUT.time {
            self.clock.write(&page, offset as usize + time);
        }
        if self.is_up(which) {
            self.kick(vcpu, set, host);
        }
        Ok(())
    }

    /// Writes the clock for user programs: once, because it never changes.
    fn show_clock(&self, address: u64, memory: &impl Arguments) -> Result<(), Errno> {
        const VERSION: u64 = offset_of!(VcpuTimeInfo, version) as u64;
        if address == 0 {
            return Ok(());
        }
        let mut info = VcpuTimeInfo {
            version: 1,
            tsc_timestamp: self.clock.zero,
            system_time: self.clock.offset,
            tsc_to_system_mul: self.clock.scale.multiplier,
            tsc_shift: self.clock.scale.shift,
            flags: if self.clock.stable { TSC_STABLE } else { 0 },
            ..VcpuTimeInfo::default()
        };
        memory.put(address, &info)?;
        info.version = 2;
        memory.put(address.wrapping_add(VERSION), &info.version)
    }
}
