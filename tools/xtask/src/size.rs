// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo xtask size`: how much has to be trusted, and whether unsafe code stays where it belongs.

mod source;
mod wrappers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use parzelle_harness::Board;

use crate::house::House;
use crate::table::{Table, thousands};

/// How many code lines may have to be trusted: what is aimed at.
const LIMIT: usize = 6_000;
/// What fails: the most that any board has, until all are within the limit. It may only fall.
const CEILING: usize = 6_116;

/// The rooms that are trusted on every board.
const COMMON: [&str; 5] = ["kernel/abi", "kernel/core", "kernel/paging", "config/plan", "bsp/drivers"];

/// The page-table service of guests whose kernel runs in user mode, what wires it to the processor, its interface,
/// and the check of what the plan gives it: rooms of their own, which only such guests use.
const SERVICE: [&str; 4] =
    ["kernel/tables", "kernel/arch/x86_64/src/guest", "kernel/abi/src/x86_64/", "kernel/core/src/check/pool"];

/// The IOMMU, its tables, and the check of what the plan says of devices: a room of its own, which only boards with
/// one use.
const IOMMU: [&str; 3] =
    ["kernel/arch/x86_64/src/iommu", "kernel/paging/src/format/second_level", "kernel/core/src/check/devices"];

/// What no kernel reads: the pages in which the tool tells partitions about themselves.
const NOT_THE_KERNELS: &str = "kernel/abi/src/info.rs";

/// What is in these rooms for one board only, and so in no other's image.
fn is_for_another(file: &Path, board: Board) -> bool {
    let own: &[(&str, Board)] = &[
        ("kernel/abi/src/aarch64.rs", Board::QemuVirtAarch64),
        ("kernel/abi/src/x86_64.rs", Board::QemuQ35X86_64),
        ("kernel/paging/src/format/el2.rs", Board::QemuVirtAarch64),
        ("kernel/paging/src/format/stage2.rs", Board::QemuVirtAarch64),
        ("kernel/paging/src/format/vmsa.rs", Board::QemuVirtAarch64),
        ("kernel/paging/src/format/long_mode.rs", Board::QemuQ35X86_64),
        ("kernel/paging/src/link.rs", Board::QemuQ35X86_64),
        ("bsp/drivers/src/pl011.rs", Board::QemuVirtAarch64),
        ("bsp/drivers/src/ns16550.rs", Board::QemuQ35X86_64),
    ];
    own.iter().any(|&(name, owner)| file.ends_with(name) && owner != board)
}

/// Rooms in which unsafe code is at home: the architecture and the composition root.
const UNSAFE_ROOMS: [&str; 2] = ["kernel/arch", "bsp"];

/// Prints both; `false` if a limit is passed or unsafe code is where it should not be.
pub(crate) fn run(house: &House) -> Result<bool> {
    let small = lines(house)?;
    let confined = confinement(house)?;
    Ok(small && confined)
}

/// Counts code lines per room and board; `false` if a board passes the ceiling.
pub(crate) fn lines(house: &House) -> Result<bool> {
    let mut table = Table::new(["code lines", Board::ALL[0].arch(), Board::ALL[1].arch()]);
    let mut totals = Board::ALL.map(|_| 0);
    let mut add = |title: &str, room: &dyn Fn(Board) -> String| {
        let mut cells = vec![title.to_owned()];
        for (board, total) in Board::ALL.into_iter().zip(&mut totals) {
            let count = count(&house.path(room(board)), board)?;
            *total += count;
            cells.push(thousands(count as i64));
        }
        table.row(cells);
        anyhow::Ok(())
    };
    for room in COMMON {
        add(room, &|_| room.to_owned())?;
    }
    add("kernel/arch", &|board| format!("kernel/arch/{}", board.arch()))?;
    add("bsp", &|board| format!("bsp/{}", board.name()))?;
    let sums = totals.iter().map(|&total| thousands(total as i64));
    table.row([format!("all (aim {})", thousands(LIMIT as i64))].into_iter().chain(sums).collect());
    for (what, rooms) in [("guests in user mode", SERVICE.as_slice()), ("devices behind an IOMMU", &IOMMU)] {
        let lines: usize = rooms.iter().map(|room| room_lines(house, room)).sum::<Result<_>>()?;
        let title = format!("beside these, for {what}: {}", rooms.join(", "));
        table.row(vec![title, "0".to_owned(), thousands(lines as i64)]);
    }
    println!("{}", table.set());
    Ok(totals.iter().all(|&total| total <= CEILING))
}

/// Counts the code lines of a room on x86-64: a directory, or the file of that name.
fn room_lines(house: &House, room: &str) -> Result<usize> {
    let file = house.path(format!("{room}.rs"));
    if file.is_file() { Ok(source::code_lines(&read(&file)?)) } else { count(&house.path(room), Board::QemuQ35X86_64) }
}

/// Counts the code lines below a directory that are in a board's image, 0 if it isn't there.
fn count(directory: &Path, board: Board) -> Result<usize> {
    let mut texts = Vec::new();
    let mut excluded = Vec::new();
    for file in files(directory)? {
        let apart = SERVICE.iter().chain(&IOMMU).chain([&NOT_THE_KERNELS]);
        let elsewhere = apart.into_iter().any(|room| below(&file, room) && !below(directory, room));
        if is_trusted(file.strip_prefix(directory).unwrap_or(&file)) && !is_for_another(&file, board) && !elsewhere {
            let text = read(&file)?;
            for module in source::test_modules(&text) {
                excluded.extend(module_paths(&file, &module));
            }
            texts.push((file, text));
        }
    }
    texts.retain(|(file, _)| !excluded.iter().any(|path| file.starts_with(path)));
    Ok(texts.iter().map(|(_, text)| source::code_lines(text)).sum())
}

/// Whether a path leads through a room or into it.
fn below(path: &Path, room: &str) -> bool {
    path.to_string_lossy().contains(room)
}

/// Where the source of a module may lie that `file` declares.
fn module_paths(file: &Path, module: &str) -> [PathBuf; 4] {
    let beside = file.with_file_name(module);
    let below = file.with_extension("").join(module);
    [beside.with_extension("rs"), beside, below.with_extension("rs"), below]
}

/// Whether a file, named within its room, is part of an image: no test, no fake, no build script.
fn is_trusted(file: &Path) -> bool {
    let kind = file.extension().and_then(|extension| extension.to_str());
    let excluded = ["tests.rs", "tests", "fake.rs", "fake", "benches", "examples"];
    let is_excluded =
        file == Path::new("build.rs") || file.iter().any(|part| excluded.iter().any(|&name| part == name));
    matches!(kind, Some("rs" | "S")) && !is_excluded
}

/// Lists the files with unsafe code outside of its rooms; `false` if one is not expected.
pub(crate) fn confinement(house: &House) -> Result<bool> {
    let mut confined = true;
    let mut found = Vec::new();
    for file in files(&house.path(""))? {
        let name = file.strip_prefix(house.path("")).unwrap_or(&file).to_string_lossy().into_owned();
        let at_home = UNSAFE_ROOMS.iter().any(|room| Path::new(&name).starts_with(room));
        if name.ends_with(".rs") && !at_home && source::is_unsafe(&read(&file)?) {
            found.push(name);
        }
    }
    println!("unsafe code outside of {}:", UNSAFE_ROOMS.join(" and "));
    for name in &found {
        match wrappers::why(name) {
            Some(why) => println!("  {name}: {why}"),
            None => {
                println!("  {name}: NOT ON THE LIST in tools/xtask/src/size/wrappers.rs");
                confined = false;
            }
        }
    }
    println!();
    Ok(confined)
}

/// All files below a directory, sorted; hidden directories and build results are left out.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                waiting.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_fakes_are_not_trusted() {
        for file in ["src/lib.rs", "src/vectors.S", "src/machine.rs", "src/boot/build.rs"] {
            assert!(is_trusted(Path::new(file)), "{file}");
        }
        for file in ["src/machine/fake.rs", "src/port/tests.rs", "tests/x.rs", "build.rs", "README.md"] {
            assert!(!is_trusted(Path::new(file)), "{file}");
        }
    }
}
