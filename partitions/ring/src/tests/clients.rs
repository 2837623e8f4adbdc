// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The clients that wait, in the ecosystem's traits: on threads of the host.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use embedded_io::{Read, ReadReady, Write};
use embedded_sdmmc::{Block, BlockDevice, BlockIdx};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::phy::Device as _;
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use crate::block::{Client, Geometry, Operation, Request, Server, Status};
use crate::client::{Blocks, Device, Disk, Doorbells, Terminal};
use crate::console::Console;
use crate::fake::Area;
use crate::network::{Parameters, Port};
use crate::{Error, Memory};

/// One side's bells: the flag is the event.
#[derive(Clone, Default)]
struct Bells {
    own: Arc<(Mutex<bool>, Condvar)>,
    peers: Arc<(Mutex<bool>, Condvar)>,
}

impl Bells {
    fn pair() -> [Self; 2] {
        let one = Self::default();
        [one.clone(), Self { own: one.peers, peers: one.own }]
    }
}

impl Doorbells for Bells {
    fn ring(&self) {
        *self.peers.0.lock().unwrap() = true;
        self.peers.1.notify_one();
    }

    fn wait(&self) {
        let rung = self.own.0.lock().unwrap();
        let (mut rung, time) = self.own.1.wait_timeout_while(rung, Duration::from_secs(20), |rung| !*rung).unwrap();
        assert!(!time.timed_out(), "nobody rings");
        *rung = false;
    }
}

const SECTORS: u64 = 4096;

/// Serves a disk in memory until told to stop; starts anew after every 37th request, in the midst of
/// others.
fn serve(areas: &[Area; 2], bells: &Bells, stop: &AtomicBool) {
    let mut disk = vec![0u8; SECTORS as usize * 512];
    let start = || Server::new(areas[1].clone(), areas[0].clone(), Geometry::new(SECTORS)).unwrap();
    let mut server = start();
    let mut work: Vec<Request> = Vec::new();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        work.extend(std::iter::from_fn(|| server.next_request()));
        if let Some(request) = work.pop() {
            let bytes = &mut disk[request.sector as usize * 512..][..request.bytes as usize];
            match request.operation {
                Operation::Read => areas[1].write(request.offset, bytes).unwrap(),
                Operation::Write => areas[0].read(request.offset, bytes).unwrap(),
                _ => {}
            }
            server.complete(request.id, Status::Done);
            count += 1;
            if count % 37 == 0 {
                (server, work) = (start(), Vec::new());
            }
        }
        if server.notify() {
            bells.ring();
        }
        if work.is_empty() && server.may_sleep() {
            bells.wait();
        }
    }
}

#[test]
fn a_disk_is_read_and_written_by_blocks() {
    let areas = Area::pair((1 << 20) + 4096);
    let [ours, servers] = Bells::pair();
    let stop = Arc::new(AtomicBool::new(false));
    let server = {
        let (areas, stop) = (areas.clone(), stop.clone());
        thread::spawn(move || serve(&areas, &servers, &stop))
    };
    let client = Client::new(areas[0].clone(), areas[1].clone()).unwrap();
    let mut disk = Disk::new(client, ours.clone());
    let data: Vec<u8> = (0..1_500_000u32 / 512 * 512).map(|n| (n ^ n >> 9) as u8).collect();
    disk.write(5, &data).unwrap();
    disk.flush().unwrap();
    let mut back = vec![0; data.len()];
    disk.read(5, &mut back).unwrap();
    assert!(back == data);
    assert_eq!(disk.read(SECTORS - 1, &mut back), Err(Error::Range));
    assert_eq!(disk.read(0, &mut back[..100]), Err(Error::Range));
    assert_eq!(disk.read(u64::MAX, &mut back), Err(Error::Range));
    assert_eq!(disk.discard(0, 512), Err(Error::Unsupported));

    let blocks = Blocks::new(disk);
    assert_eq!(blocks.num_blocks().unwrap().0, 4096);
    let mut some = vec![Block::new(); 19];
    blocks.read(&mut some, BlockIdx(5)).unwrap();
    assert!(some.iter().flat_map(|block| block.contents).eq(data[..19 * 512].iter().copied()));
    for n in 0..100 {
        some[0].contents = [n; 512];
        blocks.write(&some[..1], BlockIdx(700 + u32::from(n))).unwrap();
    }
    blocks.flush().unwrap();
    for n in 0..100 {
        blocks.read(&mut some[..1], BlockIdx(700 + u32::from(n))).unwrap();
        assert_eq!(some[0].contents, [n; 512]);
    }
    assert!(blocks.into_inner().client().replays() > 0);
    stop.store(true, Ordering::Relaxed);
    ours.ring();
    server.join().unwrap();
}

#[test]
fn a_terminal_is_a_stream() {
    let [out, back] = Area::pair(4096 + 64);
    let [ours, theirs] = Bells::pair();
    let mut program = Terminal::new(Console::connect(out.clone(), back.clone()).unwrap(), ours);
    let other = thread::spawn(move || {
        let mut window = Terminal::new(Console::serve(back, out).unwrap(), theirs);
        let mut buffer = [0; 7];
        for _ in 0..1000 {
            window.read_exact(&mut buffer).unwrap();
            window.write_all(&buffer).unwrap();
        }
        window.flush().unwrap();
    });
    let mut echo = [0; 14];
    for n in 0..500u16 {
        let text = [n as u8; 14];
        program.write_all(&text).unwrap();
        program.read_exact(&mut echo).unwrap();
        assert_eq!(echo, text);
    }
    assert_eq!(program.read_ready(), Ok(false));
    other.join().unwrap();
}

/// Two stacks, at the two ends of a port.
#[test]
fn a_port_carries_datagrams() {
    let [out, back] = Area::pair(4096 + 64 * 2048);
    let [ours, theirs] = Bells::pair();
    let parameters = Parameters { mac: [2, 0, 0, 0, 0, 9], mtu: 1500 };
    let client = Port::connect(out.clone(), back.clone()).unwrap();
    let server = Port::serve(back, out, parameters).unwrap();
    let mut devices = [Device::new(client, ours), Device::new(server, theirs)];
    assert_eq!(devices[0].mac(), parameters.mac);
    assert_eq!(devices[0].capabilities().max_transmission_unit, 1514);
    let mut stacks: Vec<_> = (1..=2u8)
        .zip(&mut devices)
        .map(|(n, device)| {
            let address = EthernetAddress([2, 0, 0, 0, 0, n]);
            let mut stack = Interface::new(Config::new(address.into()), device, Instant::ZERO);
            stack.update_ip_addrs(|all| all.push(IpCidr::new(IpAddress::v4(10, 0, 0, n), 24)).unwrap());
            let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8].leak(), vec![0; 8192].leak());
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind(7).unwrap();
            let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY].leak());
            let handle = sockets.add(socket);
            (stack, sockets, handle)
        })
        .collect();
    let (mut sent, mut echoed) = (0u64, 0u64);
    for time in 0..400 {
        for (n, ((stack, sockets, handle), device)) in stacks.iter_mut().zip(&mut devices).enumerate() {
            stack.poll(Instant::from_millis(time * 10), device, sockets);
            let socket = sockets.get_mut::<udp::Socket<'_>>(*handle);
            if n == 0 && sent == echoed && sent < 50 {
                socket.send_slice(&vec![sent as u8; 1400], (IpAddress::v4(10, 0, 0, 2), 7)).unwrap();
                sent += 1;
            }
            while let Ok((data, from)) = socket.recv() {
                let data = data.to_vec();
                assert_eq!(data, vec![(sent - 1) as u8; 1400]);
                match n {
                    0 => echoed += 1,
                    _ => socket.send_slice(&data, from).unwrap(),
                }
            }
            device.settle();
        }
    }
    assert_eq!((sent, echoed), (50, 50));
    assert!(devices.iter_mut().all(|device| device.settle() && device.port().link().faults() == 0));
}
