// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices that a system uses, plugged in as `parzelle run` does it: what they are stands behind the
//! image, disks lie beside it. Each run begins with the disks as they were built.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// "PZAPPEND", the length of the JSON before it, a digest.
const FOOTER: usize = 24;

/// A port of this machine that leads to the first network card of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port here, on 127.0.0.1.
    pub host: u16,
    /// The address there; in QEMU's user network 10.0.2.15 is the first that its DHCP server gives.
    pub address: String,
    /// The port there.
    pub port: u16,
}

/// QEMU's arguments for the devices of the system in `image`; none if it has no appendix.
pub(crate) fn of(image: &Path, forwards: &[Forward]) -> Result<Vec<String>> {
    let file = std::fs::read(image).with_context(|| image.display().to_string())?;
    match appendix(&file) {
        Some(json) => arguments(&serde_json::from_slice(json)?, image, forwards),
        None => Ok(Vec::new()),
    }
}

/// The JSON behind an image.
fn appendix(file: &[u8]) -> Option<&[u8]> {
    let (rest, footer) = file.split_last_chunk::<FOOTER>()?;
    let length = footer.strip_prefix(b"PZAPPEND")?.first_chunk::<8>()?;
    rest.get(rest.len().checked_sub(u64::from_le_bytes(*length) as usize)?..)
}

fn arguments(appendix: &Value, image: &Path, forwards: &[Forward]) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut forwards = Some(forwards);
    for device in appendix.get("devices").and_then(Value::as_array).into_iter().flatten() {
        let word = |key: &str| device.get(key).and_then(Value::as_str).ok_or_else(|| anyhow!("a device has no {key}"));
        let name = word("name")?;
        match word("class")? {
            "block" => {
                let disk = image.with_extension(format!("{name}.img"));
                let drive = format!("if=none,id={name},format=raw,snapshot=on,discard=unmap,file={}", disk.display());
                out.extend(["-drive".to_owned(), drive]);
            }
            "net" => {
                let mut netdev = format!("user,id={name}");
                for Forward { protocol, host, address, port } in forwards.take().unwrap_or_default() {
                    netdev.push_str(&format!(",hostfwd={protocol}:127.0.0.1:{host}-{address}:{port}"));
                }
                out.extend(["-netdev".to_owned(), netdev]);
            }
            _ => {}
        }
        out.extend(["-device".to_owned(), word("argument")?.to_owned()]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_plugged_in() {
        let json = br#"{"devices":[{"name":"disk0","class":"block","argument":"blk,drive=disk0"},
            {"name":"nic0","class":"net","argument":"nic,netdev=nic0"}]}"#;
        let file = [b"image", &json[..], b"PZAPPEND", &(json.len() as u64).to_le_bytes(), &[0; 8]].concat();
        let appendix = serde_json::from_slice(appendix(&file).unwrap()).unwrap();
        let forward = Forward { protocol: "udp".into(), host: 5000, address: "10.0.2.15".into(), port: 7 };
        let line = arguments(&appendix, Path::new("a/x.img"), &[forward]).unwrap().join(" ");
        let disk =
            "-drive if=none,id=disk0,format=raw,snapshot=on,discard=unmap,file=a/x.disk0.img -device blk,drive=disk0";
        let card = "-netdev user,id=nic0,hostfwd=udp:127.0.0.1:5000-10.0.2.15:7 -device nic,netdev=nic0";
        assert_eq!(line, format!("{disk} {card}"));
        assert_eq!(super::appendix(b"an image without an appendix"), None);
    }
}
