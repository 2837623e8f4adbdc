// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Links: the whole flow of information.

use parzelle_plan::{DMA, Plan, QUEUING, RegionRecord, SPACE_HOST, WRITE};
use parzelle_resolve::lower::Report;
use std::collections::BTreeMap;

use super::{partition, size, time};

/// Prints them.
pub(super) fn print(plan: &Plan<'_>, report: &Report) {
    println!("\nChannels");
    for channel in plan.channels() {
        let readers = plan.channel_readers().get(channel.readers.range()).unwrap_or(&[]);
        let to: Vec<String> = readers.iter().map(|&port| owner(plan, port)).collect();
        let what = if channel.kind == QUEUING {
            format!("queuing, {} × {}", channel.depth, size(u64::from(channel.message_bytes)))
        } else {
            format!("sampling, {}, valid for {}", size(u64::from(channel.message_bytes)), time(channel.refresh))
        };
        println!("  {:<20} {} -> {}   {what}", channel.name.as_str(), owner(plan, channel.writer), to.join(", "));
    }
    println!("\nMemory that several partitions see");
    for (name, users) in shared(plan) {
        println!("  {name:<28} {}", users.join("; "));
    }
    println!("\nDisks");
    for disk in &report.disks {
        println!("  {:<20} {}, {}, served by {}", disk.name, disk.lies, disk.holds, disk.server);
        for (client, writes) in &disk.clients {
            println!("    {client:<20} {}", if *writes { "reads and writes" } else { "reads" });
        }
    }
    println!("\nNetworks");
    for network in &report.networks {
        println!("  {:<20} {}, served by {}", network.name, network.out, network.server);
        for (member, mac, origin) in &network.members {
            println!("    {member:<20} {mac}   {origin}");
        }
    }
    println!("\nConsoles");
    for (name, server, members) in &report.consoles {
        println!("  {name:<20} served by {server}, for {}", members.join(", "));
    }
    println!("\nDevices");
    for device in &report.devices {
        println!("  {:<20} {}, of {}, {}", device.name, device.place, device.owner, device.dma);
    }
    println!("\nInterrupt lines");
    for record in plan.partitions() {
        for line in plan.lines().get(record.lines.range()).unwrap_or(&[]) {
            println!("  {:<20} {}", line.line, record.name.as_str());
        }
    }
}

/// Whose port it is.
fn owner(plan: &Plan<'_>, port: u32) -> String {
    let has = |record: &&parzelle_plan::PartitionRecord| record.ports.range().contains(&(port as usize));
    plan.partitions().iter().find(has).map_or("?".to_owned(), |record| record.name.as_str().to_owned())
}

/// Writable memory that more than one partition maps, by address.
fn shared(plan: &Plan<'_>) -> Vec<(String, Vec<String>)> {
    let mut users: BTreeMap<u64, (String, Vec<String>, bool)> = BTreeMap::new();
    for (index, record) in plan.partitions().iter().enumerate() {
        let regions = plan.regions().get(record.regions.range()).unwrap_or(&[]);
        for region in regions.iter().filter(|region| region.space == SPACE_HOST) {
            let rights = if writable(region) { "writes" } else { "reads" };
            let name = region.name.as_str().to_owned();
            let entry = users.entry(region.physical).or_insert((name, Vec::new(), false));
            let reached = if region.access & DMA != 0 { ", its devices too" } else { "" };
            entry.1.push(format!("{} {rights}{reached}", partition(plan, index as u32)));
            entry.2 |= writable(region);
        }
    }
    users
        .into_values()
        .filter(|(_, users, write)| users.len() > 1 && *write)
        .map(|(name, users, _)| (name, users))
        .collect()
}

fn writable(region: &RegionRecord) -> bool {
    region.access & WRITE != 0
}
