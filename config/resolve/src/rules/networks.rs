// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Networks: PZ0806, PZ0807, PZ0808; PZ0102 for their drivers, PZ0109 for addresses of nobody.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::Network;
use parzelle_schema::nearest::listed;
use parzelle_schema::reader::add_line;

use super::Ctx;
use super::share::owner;

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (at, network) in d.networks.iter().enumerate() {
        addresses(cx, network);
        vlans(cx, network, d.networks.get(..at).unwrap_or(&[]));
        driver(cx, network);
    }
}

/// PZ0806, PZ0109.
fn addresses(cx: &mut Ctx<'_>, network: &Network) {
    let name = &network.name.value;
    for (at, (key, mac)) in network.macs.iter().enumerate() {
        let help = "delete it: the tool makes one that is different from all others";
        if !mac.value.unicast() {
            cx.push(
                Diagnostic::error(
                    "PZ0806",
                    format!("{} is no address of a port", mac.value),
                    mac.place,
                    "the address of a group, or of none",
                )
                .counter(key.place, "for this port")
                .help(help),
            );
        }
        let before = network.macs.get(..at).unwrap_or(&[]);
        if let Some((_, first)) = before.iter().find(|(_, first)| first.value == mac.value) {
            cx.push(
                Diagnostic::error(
                    "PZ0806",
                    format!("two ports of `{name}` have the address {}", mac.value),
                    mac.place,
                    "again here",
                )
                .counter(first.place, "first here")
                .help(help),
            );
        }
        let Some(members) = network.members.good() else {
            continue;
        };
        let mine = |port: &Option<String>| key.end.port.is_none() || *port == key.end.port;
        if !members.value.iter().any(|m| m.end.partition == key.end.partition && mine(&m.end.port)) {
            cx.push(
                Diagnostic::warning(
                    "PZ0109",
                    format!("an address of `{name}` is for nobody"),
                    key.place,
                    "no such port is a member",
                )
                .counter(members.place, "the members")
                .help("delete it, or name the member as it is named there"),
            );
        }
    }
}

/// PZ0807.
fn vlans(cx: &mut Ctx<'_>, network: &Network, before: &[Network]) {
    let Some(device) = network.device.good() else {
        return;
    };
    if matches!(network.vlan, parzelle_schema::reader::Field::Bad(_)) {
        return;
    }
    let vlan = |n: &Network| n.vlan.good().map(|v| v.value);
    let same = |other: &&Network| {
        let unclear = matches!(other.vlan, parzelle_schema::reader::Field::Bad(_));
        !unclear && other.device.good().is_some_and(|d| d.value.text == device.value.text)
    };
    let Some(first) = before.iter().filter(same).find(|other| vlan(other) == vlan(network)) else {
        return;
    };
    let place = |n: &Network| n.vlan.place().unwrap_or(n.table.head);
    let used: Vec<i64> = cx.d.networks.iter().filter(same).filter_map(vlan).collect();
    let from = vlan(network).unwrap_or(0) + 1;
    let free = (from..=4094).chain(1..from).find(|number| !used.contains(number)).unwrap_or(1);
    let (title, label, counter) = match vlan(network) {
        Some(number) => (
            format!("VLAN {number} of `{}` would be two networks", device.value.text),
            format!("of `{}`", network.name.value),
            format!("of `{}`", first.name.value),
        ),
        None => (
            format!("two networks of `{}` have no VLAN", device.value.text),
            "its frames have no tag".to_owned(),
            "nor have those of this one".to_owned(),
        ),
    };
    let found = Diagnostic::error("PZ0807", title, place(network), label).counter(place(first), counter);
    cx.push(match network.vlan.place() {
        Some(place) => found.fix("the next free number", place, free.to_string()),
        None => add_line(found, &network.table, "the next free number", &format!("vlan = {free}")),
    });
}

/// PZ0808, PZ0102.
fn driver(cx: &mut Ctx<'_>, network: &Network) {
    let name = &network.name.value;
    if let Some(driver) = network.driver.good() {
        if cx.partition(&driver.value.text).is_none() {
            cx.no_partition(&driver.value.text, driver.place, &format!("named here as the driver of `{name}`"));
            return;
        }
        let Some(device) = network.device.good() else {
            return;
        };
        if let Some(owner) = owner(cx, &device.value.text).filter(|o| o.name.value != driver.value.text) {
            cx.push(
                Diagnostic::error(
                    "PZ0808",
                    format!("`{}` can't serve `{name}`", driver.value.text),
                    driver.place,
                    format!("does not own `{}`", device.value.text),
                )
                .counter_if(owner.devices.place(), format!("given to `{}`", owner.name.value))
                .fix(
                    "the owner, which is the driver also if none is named",
                    driver.place,
                    format!("\"{}\"", owner.name.value),
                ),
            );
        }
        return;
    }
    if network.device.is_written() || network.driver.is_written() {
        return;
    }
    let serves = |at: usize| {
        let package = cx.facts.packages.get(at).and_then(Option::as_ref);
        package.is_some_and(|p| p.metadata.serves.iter().any(|served| served == "network"))
    };
    let all = cx.d.partitions.iter().enumerate();
    let could: Vec<_> = all.filter(|(at, _)| serves(*at)).map(|(_, p)| p).collect();
    let found = Diagnostic::error(
        "PZ0808",
        format!("nobody serves the network `{name}`"),
        network.table.head,
        "neither a device nor a driver",
    )
    .counter_if(could.first().map(|p| p.table.head), "this partition could serve it");
    cx.push(match could.as_slice() {
        [] => found.help(
            "a partition with `crate = \"net\"`; it serves a network without a device, too, if `driver` names it",
        ),
        [only] => {
            add_line(found, &network.table, "a network without a way out", &format!("driver = \"{}\"", only.name.value))
        }
        some => found.help(format!("`driver` as one of {}", listed(some.iter().map(|p| p.name.value.as_str())))),
    });
}
