// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices that the emulator gets because the system uses them: disks with their images, network
//! cards, anything with a `qemu` key that some partition owns.
//!
//! Network cards are in QEMU's user network: 10.0.2.0/24, this machine at 10.0.2.2, a DHCP server that
//! gives 10.0.2.15 to the first who asks. Nothing of this machine's network can be reached from
//! outside but what `--forward` names.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use parzelle_resolve::model::{Device, System};
use serde::{Deserialize, Serialize};

use crate::disks;

/// Where forwarded ports lead if nothing is said: who asks first gets this address.
const FIRST: &str = "10.0.2.15";

/// A device as it is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attached {
    /// Its name on the board.
    pub(crate) name: String,
    /// `block`, `net` …
    pub(crate) class: String,
    /// What stands behind `-device`.
    pub(crate) argument: String,
}

/// The devices of a system that some partition owns and the emulator has to be asked for.
pub(crate) fn attached(system: &System) -> Vec<Attached> {
    system.board.devices.iter().filter(|device| device.owner.is_some()).filter_map(attach).collect()
}

fn attach(device: &Device) -> Option<Attached> {
    let name = device.name.clone();
    let mut argument = device.qemu.clone()?;
    if let Some(pci) = &device.pci {
        argument.push_str(&format!(",addr={:02x}.{:x}", pci.address.device, pci.address.function));
    }
    match device.class.as_str() {
        "block" => argument.push_str(&format!(",drive={name}")),
        "net" => argument.push_str(&format!(",netdev={name}")),
        _ => {}
    }
    Some(Attached { name, class: device.class.clone(), argument })
}

/// A port that is handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    card: Option<String>,
    protocol: String,
    host: u16,
    address: String,
    port: u16,
}

impl FromStr for Forward {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (card, rest) = match text.split_once('=') {
            Some((card, rest)) => (Some(card.to_owned()), rest),
            None => (None, text),
        };
        let parts: Vec<&str> = rest.split(':').collect();
        let (protocol, host, address, port) = match parts.as_slice() {
            [protocol, host, port] => (*protocol, *host, FIRST, *port),
            [protocol, host, address, port] => (*protocol, *host, *address, *port),
            _ => bail!("wants PROTOCOL:PORT:[ADDRESS:]PORT, as in tcp:8080:80"),
        };
        if !matches!(protocol, "tcp" | "udp") {
            bail!("`{protocol}` is neither tcp nor udp");
        }
        let number = |text: &str| text.parse().with_context(|| format!("`{text}` is no port"));
        let address: std::net::Ipv4Addr = address.parse().with_context(|| format!("`{address}` is no address"))?;
        Ok(Self {
            card,
            protocol: protocol.to_owned(),
            host: number(host)?,
            address: address.to_string(),
            port: number(port)?,
        })
    }
}

/// QEMU's arguments for them. `image` is the system's, beside which the disks' lie.
pub(crate) fn arguments(all: &[Attached], image: &Path, keep: bool, forwards: &[Forward]) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let first = all.iter().find(|device| device.class == "net").map(|device| device.name.as_str());
    for forward in forwards {
        let card = forward.card.as_deref().or(first).context("this system has no network card")?;
        if !all.iter().any(|device| device.class == "net" && device.name == card) {
            bail!("this system has no network card `{card}`");
        }
    }
    for device in all {
        let name = &device.name;
        match device.class.as_str() {
            "block" => {
                let file = disks::path(image, name);
                if !file.is_file() {
                    bail!("{} is missing: `parzelle build` writes it", file.display());
                }
                // A comma in a value is doubled.
                let file = file.display().to_string().replace(',', ",,");
                let keeping = if keep { "off" } else { "on" };
                let drive = format!("if=none,id={name},format=raw,snapshot={keeping},discard=unmap,file={file}");
                out.extend(["-drive".to_owned(), drive]);
            }
            "net" => {
                let mut netdev = format!("user,id={name}");
                let mine = |f: &&Forward| f.card.as_deref().or(first) == Some(name.as_str());
                for forward in forwards.iter().filter(mine) {
                    let Forward { protocol, host, address, port, .. } = forward;
                    netdev.push_str(&format!(",hostfwd={protocol}:127.0.0.1:{host}-{address}:{port}"));
                }
                out.extend(["-netdev".to_owned(), netdev]);
            }
            _ => {}
        }
        out.extend(["-device".to_owned(), device.argument.clone()]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str) -> Attached {
        Attached { name: name.to_owned(), class: "net".to_owned(), argument: format!("card,netdev={name}") }
    }

    #[test]
    fn ports_are_handed_on_to_the_card_that_is_meant() {
        let cards = [card("nic0"), card("nic1")];
        let forwards = ["tcp:8080:80", "nic1=udp:5000:10.0.2.16:7"].map(|text| text.parse().unwrap());
        let line = arguments(&cards, Path::new("x.img"), false, &forwards).unwrap().join(" ");
        let expected = "-netdev user,id=nic0,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80 -device card,netdev=nic0 \
                        -netdev user,id=nic1,hostfwd=udp:127.0.0.1:5000-10.0.2.16:7 -device card,netdev=nic1";
        assert_eq!(line, expected);
        assert!(arguments(&[], Path::new("x.img"), false, &forwards).is_err());
        let other = ["nic2=tcp:1:1".parse().unwrap()];
        assert!(arguments(&cards, Path::new("x.img"), false, &other).is_err());
        for wrong in ["", "8080:80", "icmp:1:2", "tcp:x:80", "tcp:1:host:80", "tcp:70000:80"] {
            assert!(wrong.parse::<Forward>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_device_is_plugged_in_where_the_board_says() {
        use parzelle_resolve::environment::{Crates, Environment};
        let text = "[system]\nboards = [\"qemu-q35-x86_64\"]\n[partition.hello]\nelf = \"files/x86_64/hello.elf\"\n\
                    devices = [\"disk0\", \"edu0\", \"rtc0\"]\ndma-memory = \"64KiB\"\n[device.edu0]\npci = \"00:05.1\"\n\
                    qemu = \"edu\"\nbars = { 0 = \"1MiB\" }\n";
        let root = crate::house::root();
        let env = Environment::with_crates(&root, Crates::Fixed(Vec::new()));
        let outcome = parzelle_resolve::check::check_text("x.toml", text.into(), &root.join("tests/rejects"), &env);
        let arguments: Vec<String> = attached(&outcome.systems[0]).into_iter().map(|device| device.argument).collect();
        let disk = "virtio-blk-pci,disable-legacy=on,iommu_platform=on,addr=03.0,drive=disk0";
        assert_eq!(arguments, [disk, "edu,addr=05.1"]);
    }

    #[test]
    fn a_disk_needs_its_image() {
        let disk = Attached { name: "disk0".into(), class: "block".into(), argument: "disk,drive=disk0".into() };
        let missing = arguments(&[disk], Path::new("/nowhere/x.img"), false, &[]).unwrap_err().to_string();
        assert_eq!(missing, "/nowhere/x.disk0.img is missing: `parzelle build` writes it");
    }
}
