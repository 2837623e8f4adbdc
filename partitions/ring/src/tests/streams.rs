// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Networks and consoles between honest ends.

use super::hostile::Chance;
use crate::Error;
use crate::console::{Console, Window};
use crate::fake::Area;
use crate::network::{Parameters, Port, SLOTS};

const PARAMETERS: Parameters = Parameters { mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56], mtu: 1500 };

/// Server and client of a port, connected.
fn ports(bytes: u64) -> (Port<Area>, Port<Area>) {
    let [out, back] = Area::pair(bytes);
    let mut client = Port::connect(out.clone(), back.clone()).unwrap();
    assert_eq!(client.parameters(), None, "nobody is there yet");
    let mut server = Port::serve(back, out, PARAMETERS).unwrap();
    assert_eq!(client.parameters(), Some(PARAMETERS));
    assert_eq!(server.peek(), None);
    (server, client)
}

#[test]
fn frames_arrive_whole_and_in_order() {
    let (mut server, mut client) = ports(4096 + (512 << 10));
    let (mut sent, mut received) = (0u64, 0u64);
    let mut chance = Chance(1);
    let length = |n: u64| 14 + (n * 37 % 1487) as usize;
    let mut buffer = [0; 2048];
    for _ in 0..2000 {
        for _ in 0..chance.below(40) {
            match server.send(&vec![sent as u8; length(sent)], sent as u32) {
                Ok(()) => sent += 1,
                Err(error) => assert_eq!((error, sent - received), (Error::Full, u64::from(SLOTS))),
            }
        }
        for _ in 0..chance.below(40) {
            let Some((bytes, flags)) = client.receive(&mut buffer) else {
                assert_eq!(sent, received);
                break;
            };
            assert_eq!((bytes, flags), (length(received), received as u32));
            assert!(buffer[..bytes].iter().all(|byte| *byte == received as u8));
            received += 1;
        }
    }
    assert!(received > 10_000);
}

#[test]
fn a_full_ring_rings_when_it_is_half_empty() {
    let (mut server, mut client) = ports(4096 + 16 * 2048);
    assert!(!client.carrier());
    server.set_carrier(true);
    assert!(server.notify() && client.carrier());
    let _ = client.notify();
    for _ in 0..16 {
        server.send(&[1; 60], 0).unwrap();
    }
    assert_eq!(server.send(&[1; 60], 0), Err(Error::Full));
    assert!(server.notify());
    assert!(server.may_sleep());
    assert!(!client.may_sleep(), "frames wait");
    for n in 1..=16 {
        assert!(client.receive(&mut [0; 60]).is_some());
        assert_eq!(client.notify(), n == 8);
    }
    assert!(!server.may_sleep(), "there is room again");
    assert!(server.may_sleep(), "but nobody has to use it");
    assert_eq!(server.room(), 16);
    assert_eq!(server.send(&[0; 13], 0), Err(Error::Range));
    assert_eq!(server.send(&[0; 2033], 0), Err(Error::Range));
}

#[test]
fn bytes_of_a_console_are_never_lost() {
    let [out, back] = Area::pair(4096 + 128);
    let mut program = Console::connect(out.clone(), back.clone()).unwrap();
    assert_eq!(program.write(b"x"), 0, "nobody is there yet");
    let mut window = Console::serve(back, out).unwrap();
    window.set_window(Window { columns: 80, rows: 25 });
    let _ = (window.read(&mut []), program.read(&mut []), window.read(&mut []));
    assert_eq!(program.window(), Window { columns: 80, rows: 25 });
    let text: Vec<u8> = (0..50_000u32).map(|n| (n * 7 / 8) as u8).collect();
    let (mut written, mut back) = (0, Vec::new());
    let mut chance = Chance(2);
    while back.len() < text.len() {
        let end = text.len().min(written + chance.below(200) as usize);
        written += program.write(&text[written..end]);
        let mut buffer = [0; 150];
        let limit = chance.below(150) as usize;
        let read = window.read(&mut buffer[..limit]);
        back.extend_from_slice(&buffer[..read]);
    }
    assert_eq!(back, text);
}
