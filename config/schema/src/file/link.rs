// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Links: `[sampling.NAME]`, `[queuing.NAME]`, `[shared.NAME]`.

use crate::keys;
use crate::reader::{Cx, Field, Reader, Text, check_name};
use crate::source::{At, Place};
use crate::text::{End, Name};
use crate::tree::Table;

/// An end with the places of its parts.
#[derive(Clone, Debug)]
pub struct EndAt {
    /// The names.
    pub end: End,
    /// The whole string, with quotes.
    pub place: Place,
    /// The partition's name; the whole string, if there is no port.
    pub partition_place: Place,
}

/// A sampling or queuing channel as written.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// Sampling or queuing.
    pub sampling: bool,
    /// The source.
    pub from: Field<EndAt>,
    /// The destinations: one for queuing.
    pub to: Field<Vec<EndAt>>,
    /// The largest message, bytes.
    pub message_size: Field<u64>,
    /// Sampling: nanoseconds.
    pub refresh_period: Field<u64>,
    /// Queuing: depth.
    pub max_messages: Field<i64>,
}

/// Shared memory as written.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// Bytes.
    pub size: Field<u64>,
    /// Who may write.
    pub writers: Field<Vec<EndAt>>,
    /// Who may only read.
    pub readers: Field<Vec<EndAt>>,
    /// Where it lies.
    pub physical: Field<i64>,
}

pub(super) fn end(cx: &mut Cx<'_>, text: &At<Text>) -> EndAt {
    let end = End::parse(&text.value.text);
    let partition_place = if end.port.is_some() { text.inner(end.partition_column()) } else { text.place };
    if let Some(port) = &end.port {
        check_name(cx, Name::Port, port, text.inner(end.port_column()), "port");
    }
    EndAt { end, place: text.place, partition_place }
}

fn one(r: &mut Reader<'_, '_, '_>, key: &str) -> Field<EndAt> {
    match r.text(key) {
        Field::Absent => Field::Absent,
        Field::Bad(place) => Field::Bad(place),
        Field::Good(text) => Field::Good(At::new(end(r.cx, &text), text.place)),
    }
}

pub(super) fn many(r: &mut Reader<'_, '_, '_>, key: &str) -> Field<Vec<EndAt>> {
    match r.texts(key) {
        Field::Absent => Field::Absent,
        Field::Bad(place) => Field::Bad(place),
        Field::Good(texts) => {
            let place = texts.place;
            Field::Good(At::new(texts.value.iter().map(|t| end(r.cx, t)).collect(), place))
        }
    }
}

impl Channel {
    /// Reads `[sampling.NAME]` or `[queuing.NAME]`.
    pub fn read(name: At<String>, table: &Table, sampling: bool, cx: &mut Cx<'_>) -> Self {
        let kind = if sampling { &keys::SAMPLING } else { &keys::QUEUING };
        let mut r = Reader::new(table, kind, cx);
        let from = one(&mut r, "from");
        r.require("from", &from, None);
        let to = if sampling {
            many(&mut r, "to")
        } else {
            match one(&mut r, "to") {
                Field::Absent => Field::Absent,
                Field::Bad(place) => Field::Bad(place),
                Field::Good(at) => Field::Good(At::new(vec![at.value], at.place)),
            }
        };
        r.require("to", &to, None);
        let message_size = r.size("message-size");
        r.require("message-size", &message_size, None);
        let (mut refresh_period, mut max_messages) = (Field::Absent, Field::Absent);
        if sampling {
            refresh_period = r.time("refresh-period", false);
            r.require("refresh-period", &refresh_period, None);
        } else {
            max_messages = r.number("max-messages", 1, 65_535);
            r.require("max-messages", &max_messages, None);
        }
        Channel { name, table: table.clone(), sampling, from, to, message_size, refresh_period, max_messages }
    }
}

impl Shared {
    /// Reads `[shared.NAME]`.
    pub fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::SHARED, cx);
        let size = r.size("size");
        r.require("size", &size, None);
        let writers = many(&mut r, "writers");
        r.require("writers", &writers, None);
        Shared {
            size,
            writers,
            readers: many(&mut r, "readers"),
            physical: r.number("physical", 0, i64::MAX),
            name,
            table: table.clone(),
        }
    }
}
