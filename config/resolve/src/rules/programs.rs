// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Boards and programs: PZ0201, PZ0202, PZ0204, PZ0208, PZ0209, PZ0210. What is inside of an ELF
//! file is in `elf`.

use std::path::{Path, PathBuf};

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::nearest::{listed, nearest};
use parzelle_schema::reader::{Text, add_line};
use parzelle_schema::source::{At, Place};
use parzelle_schema::tree::Value;

use super::{Ctx, elf};
use crate::model::Arch;

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (at, p) in d.partitions.iter().enumerate() {
        what_runs(cx, p);
        krate(cx, at, p);
        if let Some(path) = p.elf.good()
            && let Some(file) = exists(cx, path)
        {
            elf::check(cx, p, path, &file);
        }
        if let Some(guest) = &p.guest {
            for path in [&guest.kernel, &guest.initrd] {
                if let Some(path) = path.good() {
                    exists(cx, path);
                }
            }
        }
    }
    cores(cx);
    options(cx);
}

/// PZ0204.
fn what_runs(cx: &mut Ctx<'_>, p: &parzelle_schema::file::Partition) {
    let programs = p.programs();
    match programs.as_slice() {
        [] => {
            let d = Diagnostic::error(
                "PZ0204",
                format!("`{}` runs nothing", p.name.value),
                p.table.head,
                "one of `crate`, `elf`, `c`, `guest` is required",
            );
            cx.push(add_line(d, &p.table, "for example", "crate = \"hello\""));
        }
        [_] => {}
        [(first, first_node), (second, second_node), ..] => cx.push(
            Diagnostic::error(
                "PZ0204",
                format!("`{}` runs both `{first}` and `{second}`", p.name.value),
                second_node.place,
                format!("a second program: `{second}`"),
            )
            .counter(first_node.place, format!("the first: `{first}`"))
            .help("keep one of them; a guest and a driver are two partitions"),
        ),
    }
}

/// PZ0202, PZ0210.
fn krate(cx: &mut Ctx<'_>, at: usize, p: &parzelle_schema::file::Partition) {
    let Some(krate) = p.krate.good() else { return };
    let name = krate.value.text.as_str();
    match cx.facts.packages.get(at).cloned().flatten() {
        None => {
            let names: Vec<&str> =
                cx.facts.all_packages.iter().filter(|p| !p.bins.is_empty()).map(|p| p.name.as_str()).collect();
            let trouble = cx.env.trouble(cx.folder);
            let mut d = Diagnostic::error(
                "PZ0202",
                format!("no crate is called `{name}`"),
                krate.place,
                match &trouble {
                    None => "neither in this workspace nor among those of Parzelle",
                    Some(_) => "not among those of Parzelle, and no workspace around this file can be read",
                },
            )
            .counter(p.table.head, "the program of this partition");
            d = match nearest(name, names) {
                Some(near) => d.fix("a crate with a similar name", krate.place, format!("\"{near}\"")),
                None => d.help("a program that was built elsewhere is `elf = \"path\"`"),
            };
            if let Some(trouble) = trouble {
                d = d.note(format!("cargo, asked for the workspace: {trouble}")).help(format!(
                    "a `Cargo.toml` beside this file or above it, with `[workspace]` and `members = [\"{name}\"]`"
                ));
            }
            cx.push(d);
        }
        Some(package) if package.bins.len() != 1 => {
            let found = if package.bins.is_empty() {
                "no program".to_owned()
            } else {
                format!("{} programs: {}", package.bins.len(), listed(package.bins.iter().map(String::as_str)))
            };
            cx.push(
                Diagnostic::error("PZ0202", format!("the crate `{name}` has not one program"), krate.place, found)
                    .counter(p.table.head, "the program of this partition")
                    .help("a partition runs a crate with one binary"),
            );
        }
        Some(package) => {
            for (key, why) in &package.metadata.wrong {
                cx.push(
                    Diagnostic::error(
                        "PZ0210",
                        format!("in the metadata of the crate `{name}`, `{key}` {why}"),
                        krate.place,
                        "this crate",
                    )
                    .help(format!("correct `[package.metadata.parzelle]` in {}", package.manifest.display())),
                );
            }
            for feature in p.features.good().into_iter().flat_map(|l| &l.value) {
                if package.features.contains(&feature.value.text) {
                    continue;
                }
                let mut d = Diagnostic::error(
                    "PZ0202",
                    format!("the crate `{name}` has no feature `{}`", feature.value.text),
                    feature.place,
                    "unknown feature",
                )
                .counter(krate.place, "of this crate");
                d = match nearest(&feature.value.text, package.features.iter().map(String::as_str)) {
                    Some(near) => d.fix("a feature with a similar name", feature.place, format!("\"{near}\"")),
                    None => d.note(format!("its features are {}", listed(package.features.iter().map(String::as_str)))),
                };
                cx.push(d);
            }
        }
    }
}

/// A path with `{arch}` and `{board}` filled in, from the description's folder.
pub(crate) fn path_of(folder: &Path, text: &str, arch: Arch, board: &str) -> PathBuf {
    folder.join(text.replace("{arch}", arch.name()).replace("{board}", board))
}

/// PZ0201; the path if the file is there.
pub(super) fn exists(cx: &mut Ctx<'_>, path: &At<Text>) -> Option<PathBuf> {
    let file = path_of(cx.folder, &path.value.text, cx.arch, cx.board_name);
    if file.is_file() {
        return Some(file);
    }
    let shown = path.value.text.replace("{arch}", cx.arch.name()).replace("{board}", cx.board_name);
    let mut d = Diagnostic::error("PZ0201", format!("there is no file `{shown}`"), path.place, "named here");
    if path.value.text.contains('{') {
        d = d.counter_if(cx.board_place(), "for this board");
    }
    let wanted = file.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
    let names: Vec<String> = file
        .parent()
        .and_then(|f| std::fs::read_dir(f).ok())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    let mut sorted = names;
    sorted.sort();
    d = match nearest(&wanted, sorted.iter().map(String::as_str)) {
        Some(near) => {
            d.fix("a file with a similar name", path.place, format!("\"{}\"", path.value.text.replace(&wanted, near)))
        }
        None => d.note("paths are relative to the description; `{arch}` and `{board}` are filled in"),
    };
    cx.push(d);
    None
}

/// PZ0208.
fn cores(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let Some(has) = cx.board.cores.good().map(|c| c.value) else {
        return;
    };
    let mut named: Vec<(i64, Place, String)> = Vec::new();
    for p in &d.partitions {
        named.extend(p.cores.good().into_iter().flat_map(|l| &l.value).map(|c| {
            (c.value, c.place, format!("[board.{}.partition]` and `{}.cores = [0]", cx.board_name, p.name.value))
        }));
    }
    for s in &d.schedules {
        named.extend(s.cores.iter().map(|(c, _)| {
            (i64::from(c.value), c.place, format!("[board.{}.schedule.{}]", cx.board_name, s.name.value))
        }));
    }
    for (core, place, over) in named {
        if core >= has {
            let line = cx.board.line("cores");
            cx.push(
                Diagnostic::error(
                    "PZ0208",
                    format!("`{}` has no core {core}", cx.board_name),
                    place,
                    format!("the cores are 0 to {}", has - 1),
                )
                .counter_if(line, "the cores of this board")
                .help(format!("a core that exists; or, for this board only, `{over}`")),
            );
        }
    }
}

/// PZ0209.
fn options(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (key, node) in &d.options {
        let names: Vec<&str> = cx.board.options.iter().map(|(k, _)| k.value.as_str()).collect();
        let Some((option, values)) = cx.board.options.iter().find(|(k, _)| k.value == key.name) else {
            let line = cx.board.line("arch");
            let mut found = Diagnostic::error(
                "PZ0209",
                format!("`{}` has no option `{}`", cx.board_name, key.name),
                key.place,
                "unknown option",
            )
            .counter_if(cx.board.options.first().map(|(k, _)| k.place).or(line), "the options of this board");
            found = match nearest(&key.name, names.iter().copied()) {
                Some(near) => found.fix("an option with a similar name", key.place, near),
                None => found.note(format!("its options are {}", listed(names))),
            };
            cx.push(found);
            continue;
        };
        let text = |v: &Value| match v {
            Value::Integer(Some(n)) => Some(n.to_string()),
            Value::String { text, .. } => Some(text.clone()),
            _ => None,
        };
        let allowed: Vec<String> = values.iter().filter_map(|v| text(&v.value)).collect();
        if text(&node.value).is_none_or(|v| !allowed.contains(&v)) {
            let first = values.first().map(|v| cx.sources.at(v.place).to_owned()).unwrap_or_default();
            cx.push(
                Diagnostic::error(
                    "PZ0209",
                    format!("the option `{}` of `{}` has no such value", key.name, cx.board_name),
                    node.place,
                    "unknown value",
                )
                .counter(option.place, "the option and its values")
                .note(format!("the values are {}", listed(allowed.iter().map(String::as_str))))
                .fix("the default", node.place, first),
            );
        }
    }
}
