// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel calls and their errors: one list each, from which the enum, the decoding and the
//! names follow.

/// Declares a dense enum with its decoding and names.
macro_rules! numbered {
    ($(#[$outer:meta])* $name:ident: $($(#[$doc:meta])* $number:literal $variant:ident $text:literal,)+) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name { $($(#[$doc])* $variant = $number,)+ }

        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// Decodes a number, or `None` for one that is not assigned.
            #[inline]
            pub const fn from_number(number: u64) -> Option<$name> {
                match number { $($number => Some($name::$variant),)+ _ => None }
            }

            /// The name as it stands in traces, health logs and generated headers.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }
    };
}
pub(crate) use numbered;

numbered! {
    /// The calls of the kernel.
    Call:
    /// `() → revision` of the interface; does nothing else.
    0 Revision "revision",
    /// `(deadline, interest) → events`: blocks until one of the events in `interest` is pending or
    /// the deadline has passed. The events returned are taken; on a time-out there are none.
    /// A deadline in the past polls; if nothing is pending, equals of the caller go first.
    1 Wait "wait",
    /// `(deadline)`: raises [`crate::event::TIMER`] at that time; [`crate::NEVER`] disarms.
    2 SetTimer "set-timer",
    /// `(entry, stack, interest)`: asks for upcalls on the events in `interest` and on
    /// process-level errors; entry 0 turns them off. Both are virtual addresses.
    3 SetUpcall "set-upcall",
    /// `()`: unmasks upcalls and continues at the frame in the vCPU page (sanitised), unless an
    /// event of interest is pending: then the handler is entered again with the frame untouched.
    4 Resume "resume",
    /// `(interest) → exit reason`: runs the guest context until it exits or an event in
    /// `interest` is pending.
    5 RunGuest "run-guest",
    /// `() → nanoseconds since boot`.
    6 Time "time",
    /// `(mode)`: sets the operating mode of the caller (ARINC 653 SET_PARTITION_MODE).
    7 SetMode "set-mode",
    /// `(partition) → mode | condition << 8 | generation << 32`: of the caller
    /// ([`crate::info::SELF`]) or of a partition that it has the right `statistics` or
    /// `start-stop` over.
    8 Status "status",
    /// `(partition, mode)`: restarts or stops another partition (right `start-stop`).
    9 Control "control",
    /// `(schedule)`: switches at the end of the frame (right `switch-schedule`).
    10 SetSchedule "set-schedule",
    /// `(port, address, length)`.
    11 SamplingWrite "sampling-write",
    /// `(port, address, capacity) → length | valid << 32`; `valid` is 1 within the refresh period.
    12 SamplingRead "sampling-read",
    /// `(port, address, length)`.
    13 QueuingSend "queuing-send",
    /// `(port, address, capacity) → length`.
    14 QueuingReceive "queuing-receive",
    /// `(port) → messages waiting`.
    15 PortStatus "port-status",
    /// `(doorbell)`: raises the doorbell's event in the peer.
    16 Ring "ring",
    /// `(line)`: unmasks an interrupt line of the caller; at first use this binds it.
    17 AckInterrupt "ack-interrupt",
    /// `(error, address, length)`: reports an application error with a message to the health
    /// monitor (ARINC 653 RAISE_APPLICATION_ERROR).
    18 RaiseError "raise-error",
    /// `(partition, address, capacity, core)`: writes [`crate::stats::Statistics`] of that partition on one
    /// core, or on all ([`crate::info::SELF`]).
    19 Statistics "statistics",
    /// `(action)`: 0 stops the module, 1 resets it, 2 stops it and reports failure
    /// (right `module`).
    20 Module "module",
    /// `(vcpu, entry, stack, argument)`: starts another vCPU of the caller's partition, once after each
    /// start of that.
    21 StartVcpu "start-vcpu",
    /// `(vcpu, events)`: raises events in another vCPU of the caller's partition. Only the
    /// assigned events of [`crate::event::SOFTWARE`] may be raised.
    22 Kick "kick",
}

numbered! {
    /// Why a call was refused. Status 0 is success.
    Error:
    /// There is no call of that number.
    1 UnknownCall "unknown call",
    /// The partition has no object of that number, or it is of another kind.
    2 NoSuchObject "no such object",
    /// An argument is out of its range.
    3 InvalidArgument "invalid argument",
    /// The memory is not the caller's to use so.
    4 InvalidAddress "invalid address",
    /// The caller has no right to it.
    5 NotPermitted "not permitted",
    /// The object is not in a mode in which this can be done.
    6 InvalidMode "invalid mode",
    /// Nothing is there (empty port).
    7 Empty "empty",
    /// There is no room (full port).
    8 Full "full",
    /// The message is longer than the port, or the buffer shorter than the message.
    9 WrongSize "wrong size",
    /// This kernel or board can't do it.
    10 NotSupported "not supported",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_decode_to_themselves() {
        for (index, call) in Call::ALL.iter().enumerate() {
            assert_eq!(*call as usize, index);
            assert_eq!(Call::from_number(index as u64), Some(*call));
        }
        assert_eq!(Call::from_number(Call::ALL.len() as u64), None);
        for (index, error) in Error::ALL.iter().enumerate() {
            assert_eq!(*error as usize, index + 1, "0 is success");
        }
    }
}
