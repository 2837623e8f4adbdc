// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Shows the newest message of the sampling port `state` on a web page (TCP port 80) and answers what
//! comes to UDP port 7. The TCP/IP stack is smoltcp, an ordinary crate; the network port is the first
//! that the description gives, `config.address` the address in a network of 256.
//!
//! ```text
//!   curl http://ADDRESS/        what the control loop does, as text
//! ```
#![no_std]
#![no_main]

mod page;

use parzelle_ring::client::Device;
use parzelle_ring::network::Port;
use parzelle_rt::abi::NEVER;
use parzelle_rt::abi::info::Protocol;
use parzelle_rt::{Error, Once, Partition, now, wait};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};

/// The port of the echo service (RFC 862).
const ECHO: u16 = 7;
/// The port of the page.
const HTTP: u16 = 80;
/// The address, if the description says nothing.
const ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);

/// What the sockets buffer.
struct Buffers {
    echo: [[u8; 4096]; 2],
    metadata: [[udp::PacketMetadata; 8]; 2],
    http: [[u8; 2048]; 2],
}

static BUFFERS: Once<Buffers> =
    Once::new(Buffers { echo: [[0; 4096]; 2], metadata: [[udp::PacketMetadata::EMPTY; 8]; 2], http: [[0; 2048]; 2] });

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let mut links = me.links_used().filter(|link| link.protocol() == Some(Protocol::Network));
    let (Some(link), Some(buffers)) = (links.next(), BUFFERS.take()) else {
        log::error!("the description gives no network port");
        return Ok(());
    };
    let port = Port::connect(link.out(), link.incoming()).map_err(|_| Error::Bounds)?;
    parzelle_rt::ready()?;
    let events = link.event();
    let mut device = Device::new(port, link);

    let address = me.config().text("address").and_then(|text| text.parse().ok()).unwrap_or(ADDRESS);
    let config = Config::new(EthernetAddress(device.mac()).into());
    let mut interface = Interface::new(config, &mut device, time());
    interface.update_ip_addrs(|all| {
        // The list is empty, and has room for one.
        let _ = all.push(IpCidr::new(address.into(), 24));
    });
    let [a, b, c, _] = address.octets();
    // As above. The router of QEMU's user network, and of many others, is the second.
    let _ = interface.routes_mut().add_default_ipv4_route(Ipv4Address::new(a, b, c, 2));

    let Buffers { echo: [echo_in, echo_out], metadata: [meta_in, meta_out], http: [http_in, http_out] } = buffers;
    let incoming = udp::PacketBuffer::new(&mut meta_in[..], &mut echo_in[..]);
    let outgoing = udp::PacketBuffer::new(&mut meta_out[..], &mut echo_out[..]);
    let page = tcp::Socket::new(tcp::SocketBuffer::new(&mut http_in[..]), tcp::SocketBuffer::new(&mut http_out[..]));
    let mut storage = [SocketStorage::EMPTY; 2];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let echo = sockets.add(udp::Socket::new(incoming, outgoing));
    let page = sockets.add(page);
    let state = me.sampling_destination("state").ok();
    log::info!("{address}: echo on UDP port {ECHO}, a page on TCP port {HTTP}");

    loop {
        interface.poll(time(), &mut device, &mut sockets);
        answer(sockets.get_mut(echo));
        page::serve(sockets.get_mut(page), state.as_ref());
        interface.poll(time(), &mut device, &mut sockets);
        let idle = device.settle();
        let next = interface.poll_at(time(), &sockets);
        let deadline = next.map_or(NEVER, |next| next.total_micros().unsigned_abs().saturating_mul(1000));
        if idle {
            wait(deadline, events);
        }
    }
}

/// The time as the stack counts it.
fn time() -> Instant {
    Instant::from_micros((now() / 1000) as i64)
}

/// Sends back what came.
fn answer(socket: &mut udp::Socket<'_>) {
    if !socket.is_open() {
        // The port is not 0 and the socket is closed: there is no other reason to refuse.
        let _ = socket.bind(ECHO);
    }
    let mut buffer = [0; 1472];
    while socket.can_send() {
        let Ok((length, from)) = socket.recv_slice(&mut buffer) else { return };
        let data = buffer.get(..length).unwrap_or_default();
        // Room was there; whom it can't be sent to has no answer.
        let _ = socket.send_slice(data, from.endpoint);
    }
}
