// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a guest can ask for. Addresses are the guest's virtual ones unless said otherwise.

use super::batch::{Batch, MulticallBatch};
use super::parts::{Flush, Out};
use crate::abi::hvm::Parameter;
use crate::abi::memory::{AddToPhysmap, MachphysMapping, Reservation};
use crate::abi::misc::{Assist, ConsoleCommand, GrantCommand};
use crate::abi::mmu::{MmuUpdate, MmuextOp};
use crate::abi::shared::RunstateInfo;
use crate::abi::trap::{Callback, SegmentBase};
use crate::abi::version::VersionCommand;

/// A hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Where traps go: a list of `TrapInfo`, ended by one without an address; no list: none go
    /// anywhere.
    SetTrapTable {
        /// The list, or 0.
        table: u64,
    },
    /// Writes page table entries.
    MmuUpdate(Batch<MmuUpdate>),
    /// Operations on page tables.
    MmuextOp(Batch<MmuextOp>),
    /// The GDT.
    SetGdt {
        /// An array of machine frames, one for each 512 entries.
        frames: u64,
        /// How many entries.
        entries: u16,
    },
    /// The stack for entries from user mode.
    StackSwitch {
        /// Its selector.
        ss: u16,
        /// Its address.
        rsp: u64,
    },
    /// Entry points, the old way.
    SetCallbacks {
        /// For events.
        event: u64,
        /// For returns that fail.
        failsafe: u64,
        /// For system calls.
        syscall: u64,
    },
    /// An entry point.
    RegisterCallback {
        /// For what.
        callback: Callback,
        /// Where.
        address: u64,
        /// Events are masked on entry.
        masks_events: bool,
    },
    /// An entry point is none any more.
    UnregisterCallback(Callback),
    /// CR0.TS.
    FpuTaskSwitch {
        /// Set or clear.
        set: bool,
    },
    /// Writes a debug register.
    SetDebugReg {
        /// 0–3, 6, 7.
        register: u8,
        /// What.
        value: u64,
    },
    /// Reads a debug register: the result.
    GetDebugReg {
        /// 0–3, 6, 7.
        register: u8,
    },
    /// Writes a segment descriptor.
    UpdateDescriptor {
        /// Its machine address.
        at: u64,
        /// What.
        descriptor: u64,
    },
    /// Memory of the domain.
    Memory(MemoryRequest),
    /// Several calls.
    Multicall(MulticallBatch),
    /// Writes the lowest page table entry of an address.
    UpdateVaMapping {
        /// The address that it maps.
        address: u64,
        /// What.
        entry: u64,
        /// What to flush then.
        flush: Flush,
    },
    /// The one-shot timer, see [`crate::time::deadline_of_set_timer`].
    SetTimer {
        /// When.
        timeout: u64,
    },
    /// Event channels.
    Event(EventRequest),
    /// Versions and features, see [`crate::answer::version`].
    Version {
        /// Which.
        command: VersionCommand,
        /// Where the answer goes.
        argument: u64,
    },
    /// The emergency console.
    Console {
        /// Read or write.
        command: ConsoleCommand,
        /// How many bytes.
        count: u64,
        /// Where.
        buffer: u64,
    },
    /// Grants.
    Grant {
        /// What.
        command: GrantCommand,
        /// An array of structures that depend on it.
        argument: u64,
        /// How many.
        count: u32,
    },
    /// Help from the hypervisor.
    VmAssist {
        /// On or off.
        enable: bool,
        /// Which.
        assist: Assist,
    },
    /// Returns from a trap: an [`crate::abi::trap::IretContext`] is on the stack.
    Iret,
    /// A vCPU.
    Vcpu {
        /// Which; it may not exist.
        vcpu: u32,
        /// What.
        request: VcpuRequest,
    },
    /// Bases of FS and GS.
    SetSegmentBase {
        /// Which.
        which: SegmentBase,
        /// A base, or a selector.
        value: u64,
    },
    /// The calling vCPU, or the domain.
    Sched(SchedRequest),
    /// Devices and privilege.
    Physdev(PhysdevRequest),
    /// Where console and store are, for guests that don't find it at their start.
    Parameter {
        /// Which.
        parameter: Parameter,
        /// Where it goes.
        value: Out<u64>,
    },
}

/// Memory of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryRequest {
    /// More frames, anywhere.
    Increase(Reservation),
    /// Fewer frames.
    Decrease(Reservation),
    /// Frames at given places.
    Populate(Reservation),
    /// Frames for others.
    Exchange {
        /// What is given.
        input: Reservation,
        /// What is wanted.
        output: Reservation,
        /// How many were exchanged.
        done: Out<u64>,
    },
    /// The highest machine frame: the result.
    MaximumRamPage,
    /// How many frames the domain has: the result.
    CurrentReservation,
    /// How many it may have: the result.
    MaximumReservation,
    /// The highest frame of the domain: the result.
    MaximumGpfn,
    /// Where the machine-to-physical table is.
    MachphysMapping(Out<MachphysMapping>),
    /// The memory map.
    MemoryMap {
        /// Room, in entries.
        room: u32,
        /// Where they go.
        buffer: u64,
        /// How many were written.
        count: Out<u32>,
    },
    /// A shared frame at a place of the domain's memory.
    AddToPhysmap(AddToPhysmap),
}

/// Event channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventRequest {
    /// A port to which a domain may connect.
    AllocUnbound {
        /// Who.
        remote: u16,
        /// The port.
        port: Out<u32>,
    },
    /// A port for a virtual interrupt.
    BindVirq {
        /// Which.
        virq: u32,
        /// Whose.
        vcpu: u32,
        /// The port.
        port: Out<u32>,
    },
    /// A port to signal a vCPU.
    BindIpi {
        /// Which.
        vcpu: u32,
        /// The port.
        port: Out<u32>,
    },
    /// Who is told of a port.
    BindVcpu {
        /// Of which.
        port: u32,
        /// Who.
        vcpu: u32,
    },
    /// Closes a port.
    Close(u32),
    /// Signals the other end.
    Send(u32),
    /// Clears the mask.
    Unmask(u32),
    /// What a port is.
    Status {
        /// Which.
        port: u32,
        /// The answer.
        status: Out<crate::abi::event::Status>,
    },
    /// Queues for a vCPU.
    InitControl {
        /// Frame of its control block.
        frame: u64,
        /// Where in it.
        offset: u32,
        /// Whose.
        vcpu: u32,
        /// Bits of a link.
        link_bits: Out<u8>,
    },
    /// A page of event words.
    ExpandArray {
        /// Its frame.
        frame: u64,
    },
    /// A port's queue.
    SetPriority {
        /// Which port.
        port: u32,
        /// Which queue.
        priority: u32,
    },
    /// Closes all ports.
    Reset,
}

/// vCPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VcpuRequest {
    /// Its first registers.
    Initialise {
        /// A [`crate::abi::trap::GuestContext`].
        context: u64,
    },
    /// Starts it.
    Up,
    /// Stops it.
    Down,
    /// 1: it is started, 0: it is not, an error: there is none.
    IsUp,
    /// Its account of time.
    GetRunstateInfo(Out<RunstateInfo>),
    /// Where to write that at each change.
    RegisterRunstateArea(u64),
    /// A timer that repeats, in nanoseconds.
    SetPeriodicTimer(u64),
    /// Ends that.
    StopPeriodicTimer,
    /// A timer that fires once.
    SetSingleshotTimer {
        /// When.
        timeout: u64,
        /// See [`crate::abi::vcpu::FUTURE`].
        flags: u32,
    },
    /// Ends that.
    StopSingleshotTimer,
    /// Where its `vcpu_info` is.
    RegisterVcpuInfo {
        /// Frame.
        frame: u64,
        /// Where in it.
        offset: u32,
    },
    /// Where its clock for user programs is.
    RegisterTimeArea(u64),
    /// Sends it an NMI.
    SendNmi,
    /// Which processor it is on.
    GetPhysid(Out<u64>),
}

/// The calling vCPU, or the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedRequest {
    /// Lets others run.
    Yield,
    /// Unmasks events and waits for one.
    Block,
    /// Waits for ports, masked or not.
    Poll {
        /// An array of them.
        ports: u64,
        /// How many: at most [`crate::abi::sched::POLL_PORTS_MAX`].
        count: u32,
        /// Until when; 0: without end.
        timeout: u64,
    },
    /// Ends the domain.
    Shutdown {
        /// Why, see [`crate::abi::sched::Shutdown`].
        reason: u32,
    },
}

/// Devices and privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhysdevRequest {
    /// The I/O privilege level.
    SetIopl(u32),
    /// I/O ports that user programs may use.
    SetIoBitmap {
        /// Bitmap of those that they may not.
        bitmap: u64,
        /// How many ports it tells of.
        ports: u32,
    },
    /// A frame for a bitmap of interrupts that need an end.
    PirqEoiFrame(u64),
}
