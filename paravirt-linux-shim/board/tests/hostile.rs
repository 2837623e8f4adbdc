// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest that does anything: random syndromes, random accesses near and far from the devices,
//! random calls and files. The board may answer what it likes, but it answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a test's verdict")]

mod common;

use common::{GICD, GICR, RAM, UART, World};
use parzelle_shim_board::exit::instruction::{Transfer, Writeback};
use parzelle_shim_board::exit::walk::Tables;
use parzelle_shim_board::exit::{Exit, Mmio, Syndrome, SysReg, SysRegAccess};
use parzelle_shim_board::fdt::{Description, write};
use parzelle_shim_board::gic::{ListRegister, State};
use parzelle_shim_board::load::{Image, layout};
use parzelle_shim_board::machine::{Next, Vmm};
use parzelle_shim_board::map::{MAX_VCPUS, Range};
use parzelle_shim_board::registers::Frame;
use parzelle_shim_board::sysreg::{Features, identification};
use proptest::prelude::*;

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..0x1_0000u64).prop_map(|offset| GICD + offset),
        4 => (0..9 * 0x2_0000u64).prop_map(|offset| GICR + offset),
        4 => (0..0x1010u64).prop_map(|offset| UART + offset),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

prop_compose! {
    fn transfer()(
        shift in 0..4u32,
        registers in [0..32u8, 0..32u8],
        elements in 0..3u8,
        (write, sign_extend, sixty_four) in any::<(bool, bool, bool)>(),
        writeback in prop::option::of((0..32u8, any::<i64>())),
    ) -> Transfer {
        let writeback = writeback.map(|(register, offset)| Writeback { register, offset });
        Transfer { width: 1 << shift, registers, elements, write, sign_extend, sixty_four, writeback }
    }
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![
        6 => (address(), transfer()).prop_map(|(ipa, transfer)| Exit::Mmio(Mmio { ipa, transfer })),
        3 => any::<(u64, u64, Option<u32>)>()
            .prop_map(|(esr, ipa, instruction)| Exit::decode(&Syndrome { esr, ipa, instruction })),
        2 => (0..64u64, any::<u64>(), address(), any::<Option<u32>>()).prop_map(|(class, esr, ipa, instruction)| {
            Exit::decode(&Syndrome { esr: class << 26 | esr & 0x3ff_ffff, ipa, instruction })
        }),
        1 => Just(Exit::Hvc { imm: 0 }),
        1 => any::<(u8, u8, u8, u8, u8, u8, bool)>().prop_map(|(a, b, c, d, e, rt, write)| {
            Exit::SysReg(SysRegAccess { register: SysReg(a, b, c, d, e), rt, write })
        }),
        1 => any::<bool>().prop_map(|write| {
            Exit::SysReg(SysRegAccess { register: SysReg(3, 0, 12, 11, 5), rt: 1, write })
        }),
        1 => any::<bool>().prop_map(|linked| Exit::VirtualTimer { linked }),
        1 => Just(Exit::Wfi),
    ]
}

/// A value that is often a function number of the firmware.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..16u64,
        (0..32u64).prop_map(|function| 0x8400_0000 + function),
        (0..32u64).prop_map(|function| 0xc400_0000 + function),
        Just(RAM.start),
        Just(u64::MAX),
    ]
}

prop_compose! {
    fn list_register()(intid in 0..128u32, state in 0..4, hw in prop::option::of(any::<u32>())) -> ListRegister {
        let state = [State::Invalid, State::Pending, State::Active, State::PendingActive][state as usize];
        ListRegister { intid, priority: 0, state, hw, eoi_maintenance: false }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_exit_has_an_answer(
        vcpus in 0..20usize,
        steps in prop::collection::vec((0..20usize, exit(), [value(), value(), value(), value()], any::<u8>()), 1..200),
        lists in prop::collection::vec(list_register(), 0..6),
    ) {
        let mut vmm = Vmm::new(vcpus, RAM, Features::default());
        let mut world = World::default();
        for (vcpu, exit, values, key) in steps {
            let mut frame = Frame { pc: values[3], ..Frame::default() };
            frame.x[..4].copy_from_slice(&values);
            let mut given = [ListRegister::default(); 4];
            let used = vmm.enter(vcpu, &mut given);
            prop_assert!(used <= 4);
            for (n, register) in given[..used].iter().enumerate() {
                prop_assert!(given[..n].iter().all(|other| other.intid != register.intid));
                prop_assert!(!(register.eoi_maintenance && register.hw.is_some()));
            }
            // A kernel that returns nonsense harms nobody either.
            vmm.leave(vcpu, if key & 1 == 0 { &given } else { &lists });
            let next = vmm.handle(vcpu, exit, &mut frame, &mut world);
            match next {
                Next::Crash(report) => {
                    prop_assert_eq!(frame.pc, values[3]);
                    prop_assert!(!report.to_string().is_empty());
                }
                Next::WaitForInterrupt { .. } => prop_assert!(!vmm.is_awake(vcpu)),
                _ => {}
            }
            let _ = vmm.console_input(key);
            prop_assert_eq!(vmm.wake(vcpu) >> vcpus.clamp(1, MAX_VCPUS), 0);
            if let Some(start) = vmm.take_start(values[0] as usize) {
                prop_assert!(RAM.contains(start.entry));
            }
            let _ = vmm.take_released(vcpu);
        }
        prop_assert!(world.notes.len() <= 32);
        prop_assert!(world.notes.iter().all(|note| !note.to_string().is_empty()));
    }

    #[test]
    fn every_file_is_an_image_or_an_error(
        mut file in prop::collection::vec(any::<u8>(), 0..600),
        magic in any::<bool>(),
        (start, size, kernel, initrd) in any::<(u64, u64, u64, u64)>(),
    ) {
        if magic && file.len() >= 60 {
            file[56..60].copy_from_slice(b"ARM\x64");
        }
        match Image::parse(&file) {
            Ok(image) => {
                let ram = Range { start, size };
                if let Ok(layout) = layout(ram, &image, kernel, initrd) {
                    let last = layout.initrd.unwrap_or(layout.device_tree);
                    prop_assert!(layout.kernel.start >= ram.start && last.end() - ram.start <= ram.size);
                    prop_assert!(layout.kernel.end() <= layout.device_tree.start);
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn every_description_gives_a_tree_or_no_room(
        vcpus in any::<usize>(),
        bootargs in ".{0,300}",
        seed in prop::collection::vec(any::<u8>(), 0..65),
        room in 0..6000usize,
        (start, size) in any::<(u64, u64)>(),
    ) {
        let range = Some(Range { start, size });
        let description =
            Description { ram: range, vcpus, bootargs: &bootargs, initrd: range, grants: range, rng_seed: Some(&seed), kaslr_seed: None };
        let mut out = vec![0; room];
        if let Ok(length) = write(&description, &mut out) {
            out.truncate(length);
            let tree = fdt::Fdt::new_unaligned(&out).unwrap();
            prop_assert_eq!(tree.root().cpus().iter().count(), vcpus.clamp(1, MAX_VCPUS));
        } else {
            prop_assert!(room < 5600);
        }
    }

    #[test]
    fn every_page_table_is_walked_to_an_end(
        control in any::<u64>(),
        roots in any::<[u64; 2]>(),
        address in any::<u64>(),
        entries in prop::collection::vec(any::<u64>(), 1..5),
    ) {
        let mut reads = 0;
        let _ = Tables { control, roots }.walk(address, |at| {
            assert_eq!(at % 8, 0);
            reads += 1;
            entries.get(reads % entries.len()).copied()
        });
        prop_assert!(reads <= 5);
    }

    #[test]
    fn hiding_twice_hides_no_more(crm in 1..8u8, op2 in 0..8u8, real in any::<u64>()) {
        let features = Features { pointer_authentication: true };
        let once = identification(SysReg(3, 0, 0, crm, op2), real, features);
        prop_assert_eq!(identification(SysReg(3, 0, 0, crm, op2), once, features), once);
    }
}
