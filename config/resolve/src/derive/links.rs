// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Channels, shared memory; and each partition's own list of ends.

use parzelle_schema::file::EndAt;

use super::Order;
use crate::model::*;
use crate::rules::Ctx;

fn ends(order: &Order, list: &[EndAt]) -> Option<Vec<PartitionIndex>> {
    let mut out = list.iter().map(|e| order.partition(&e.end.partition)).collect::<Option<Vec<_>>>()?;
    out.sort_unstable();
    Some(out)
}

pub(super) fn channels(cx: &Ctx<'_>, order: &Order) -> Option<(Vec<Sampling>, Vec<Queuing>)> {
    let (mut sampling, mut queuing) = (Vec::new(), Vec::new());
    for c in &cx.d.channels {
        let from = order.partition(&c.from.good()?.value.end.partition)?;
        let to = ends(order, &c.to.good()?.value)?;
        let (name, head, message_size) = (c.name.value.clone(), c.table.head, c.message_size.good()?.value);
        if c.sampling {
            sampling.push(Sampling {
                name,
                from,
                to,
                message_size,
                refresh_period: c.refresh_period.good()?.value,
                head,
            });
        } else {
            let max_messages = u32::try_from(c.max_messages.good()?.value).ok()?;
            queuing.push(Queuing { name, from, to: *to.first()?, message_size, max_messages, head });
        }
    }
    sampling.sort_by(|a, b| a.name.cmp(&b.name));
    queuing.sort_by(|a, b| a.name.cmp(&b.name));
    Some((sampling, queuing))
}

pub(super) fn shared(cx: &Ctx<'_>, order: &Order) -> Option<Vec<Shared>> {
    let mut out = Vec::new();
    for s in &cx.d.shared {
        out.push(Shared {
            name: s.name.value.clone(),
            size: s.size.good()?.value,
            writers: ends(order, &s.writers.good()?.value)?,
            readers: ends(order, s.readers.good().map(|l| l.value.as_slice()).unwrap_or_default())?,
            physical: s.physical.good().and_then(|a| u64::try_from(a.value).ok()),
            physical_place: s.physical.place(),
            head: s.table.head,
        });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Some(out)
}

/// Each of the partitions of a shared memory can ring each other one.
pub(super) fn doorbells(shared: &[Shared]) -> Vec<Doorbell> {
    let mut out = Vec::new();
    for s in shared {
        let all: Vec<PartitionIndex> = s.writers.iter().chain(&s.readers).copied().collect();
        for &from in &all {
            out.extend(all.iter().filter(|to| **to != from).map(|&to| Doorbell { from, to }));
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// Fills in a partition's ends.
pub(super) fn ports(cx: &Ctx<'_>, order: &Order, partition: &mut Partition) {
    let position = |names: &[String], name: &str| names.binary_search_by(|n| n.as_str().cmp(name)).unwrap_or(0);
    let mine = |e: &&EndAt| e.end.partition == partition.name;
    let mut ports = Vec::new();
    for c in &cx.d.channels {
        let link = &c.name.value;
        let name = |e: &EndAt| e.end.port.clone().unwrap_or_else(|| link.clone());
        let from = c.from.good().map(|f| &f.value).filter(mine);
        let to = c.to.good().into_iter().flat_map(|l| &l.value).find(mine);
        if c.sampling {
            let link = SamplingIndex(position(&order.sampling, link));
            ports.extend(from.map(|e| Port::SamplingSource { name: name(e), link }));
            ports.extend(to.map(|e| Port::SamplingDestination { name: name(e), link }));
        } else {
            let link = QueuingIndex(position(&order.queuing, link));
            ports.extend(from.map(|e| Port::QueuingSource { name: name(e), link }));
            ports.extend(to.map(|e| Port::QueuingDestination { name: name(e), link }));
        }
    }
    ports.sort_by(|a, b| a.name().cmp(b.name()));
    let mut shared = Vec::new();
    for s in &cx.d.shared {
        let link = SharedIndex(position(&order.shared, &s.name.value));
        for (list, writable) in [(&s.writers, true), (&s.readers, false)] {
            for e in list.good().into_iter().flat_map(|l| &l.value).filter(mine) {
                shared.push(SharedPort {
                    name: e.end.port.clone().unwrap_or_else(|| s.name.value.clone()),
                    link,
                    writable,
                });
            }
        }
    }
    shared.sort_by(|a, b| a.name.cmp(&b.name));
    partition.ports = ports;
    partition.shared = shared;
}
