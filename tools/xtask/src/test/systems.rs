// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Builds and runs the systems in `tests/systems`.
//!
//! ```text
//!   jobs ──▶ builder ──▶ queue ──▶ runner 1 ──┐
//!            one, for cargo  └───▶ runner 2 ──┴──▶ results, a line each
//!            fills the cores
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use parzelle_harness::expect::Expectation;
use parzelle_harness::{Board, judge, qemu};

use super::versions::Versions;
use super::{Arguments, Tally, versions};
use crate::house::{House, Traced};
use crate::setup::versions::Version;
use crate::{paths, setup};

/// QEMUs that run at a time. What they measure is virtual time and doesn't depend on it.
const RUNNERS: usize = 2;
/// Lines of the console that are shown of a run that failed.
const TAIL: usize = 25;

/// One system on one board.
struct Job<'a> {
    system: &'a System,
    board: Board,
    /// The kernel of its guests, unless it is the everyday one.
    version: Option<Version>,
}

/// A directory below `tests/systems`.
struct System {
    name: String,
    directory: PathBuf,
    expect: Expectation,
}

impl System {
    /// Whether a guest in it runs a program of `tests/guest`.
    fn has_our_programs(&self) -> bool {
        let description = fs::read_to_string(self.directory.join(&self.expect.system));
        description.is_ok_and(|text| text.contains("guests/programs/"))
    }
}

/// The result of a job: its name, its kernel, and a remark or the faults.
type Outcome = (String, Option<Version>, Result<String, String>);

/// Runs the systems that are asked for.
pub(super) fn test(house: &House, arguments: &Arguments, versions: &mut Versions, tally: &mut Tally) -> Result<()> {
    let systems = find(&house.path("tests/systems"), arguments, tally)?;
    let jobs = jobs(&systems, arguments, versions, tally);
    if jobs.is_empty() {
        return Ok(());
    }
    if let Err(error) = house.parzelle() {
        tally.note("systems", Err(format!("{error:#}")));
        return Ok(());
    }
    if systems.iter().any(System::has_our_programs)
        && let Err(error) = setup::guest_programs(house)
    {
        tally.note("programs inside guests", Err(format!("{error:#}")));
        return Ok(());
    }
    let (results, outcomes) = mpsc::channel::<Outcome>();
    let (built, queue) = mpsc::channel::<(Job, Built)>();
    // The runners' own: when they have gone, because nobody reads results, the builder goes too.
    let queue = Arc::new(Mutex::new(queue));
    thread::scope(|scope| {
        for _ in 0..RUNNERS {
            let (results, queue) = (results.clone(), Arc::clone(&queue));
            scope.spawn(move || {
                loop {
                    // The lock is held while waiting: the other runner has no better thing to do.
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((job, built)) = next else { return };
                    let result = run(house, &job, &built).map_err(|error| format!("{error:#}"));
                    if results.send((job.name(), job.version, result.and_then(|inner| inner))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(queue);
        scope.spawn(move || {
            for job in jobs {
                let heard = match build(house, &job) {
                    Ok(images) => built.send((job, images)).is_ok(),
                    Err(error) => results.send((job.name(), job.version, Err(format!("{error:#}")))).is_ok(),
                };
                if !heard {
                    return;
                }
            }
        });
        for (name, version, result) in outcomes {
            if let Some(version) = version {
                versions.note(&version, result.is_ok());
            }
            tally.note(&name, result);
        }
    });
    Ok(())
}

impl Job<'_> {
    /// How the job is called in what is printed.
    fn name(&self) -> String {
        format!("systems/{} on {}", self.short(), self.board)
    }

    /// The same without the board; it names files, too.
    fn short(&self) -> String {
        match &self.version {
            Some(version) => format!("{}/{}", self.system.name, version.folder()),
            None => self.system.name.clone(),
        }
    }
}

/// One job per board, and per kernel where all are wanted.
fn jobs<'a>(systems: &'a [System], arguments: &Arguments, versions: &Versions, tally: &mut Tally) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for system in systems {
        for &board in system.expect.boards.iter().filter(|&&board| arguments.board.is_none_or(|wanted| wanted == board))
        {
            let everyday = Job { system, board, version: None };
            if system.expect.all && !arguments.all {
                tally.skip(&everyday.name(), "`--all` runs it");
                continue;
            }
            if !system.expect.versions {
                jobs.push(everyday);
                continue;
            }
            let Some(versions) = versions.of(board.arch()) else {
                tally.skip(&everyday.name(), "`--all` runs it");
                continue;
            };
            for version in versions {
                jobs.push(Job { version: Some(version), ..everyday });
            }
        }
    }
    jobs
}

/// The systems that are asked for, by name; one that can't be read has failed.
fn find(directory: &Path, arguments: &Arguments, tally: &mut Tally) -> Result<Vec<System>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.sort();
    let mut systems = Vec::new();
    for directory in paths {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !directory.is_dir() || !arguments.wants(&format!("systems/{name}")) {
            continue;
        }
        match Expectation::load(&directory.join("expect.toml")) {
            Ok(expect) if arguments.quick && expect.slow => {}
            Ok(expect) => systems.push(System { name, directory, expect }),
            Err(error) => tally.note(&name, Err(format!("{error:#}"))),
        }
    }
    Ok(systems)
}

/// What was built of a system.
enum Built {
    /// The image.
    Plain(PathBuf),
    /// Two whose paths are to be compared.
    Pair([Traced; 2]),
}

/// Builds what a job takes.
fn build(house: &House, job: &Job) -> Result<Built> {
    let Job { system, board, version } = job;
    let (file, demand) = (system.directory.join(&system.expect.system), system.expect.demand(*board));
    if let Some(version) = version {
        let variant = versions::describe(house, &system.name, &file, version)?;
        let extra: &[&str] = if demand.audit { &["--audit"] } else { &[] };
        return house.build_image(&variant, *board, &job.short(), extra).map(Built::Plain);
    }
    if let Some(other) = demand.same_paths {
        let own = house.build_traced(&file, *board, &system.name)?;
        let other = house.build_traced(&system.directory.join(other), *board, &format!("{}-other", system.name))?;
        return Ok(Built::Pair([own, other]));
    }
    let shim = demand.shim.map(|shim| system.directory.join(shim).to_string_lossy().into_owned());
    let mut extra = Vec::new();
    extra.extend(demand.measure.then_some("--measure"));
    extra.extend(demand.audit.then_some("--audit"));
    extra.extend(shim.iter().flat_map(|shim| ["--shim", shim]));
    house.build_image(&file, *board, &system.name, &extra).map(Built::Plain)
}

/// Runs an image, keeps its console and judges it.
fn run(house: &House, job: &Job, built: &Built) -> Result<Result<String, String>> {
    let image = match built {
        Built::Plain(image) => image,
        Built::Pair(pair) => return paths::compare(&job.system.expect, job.board, pair),
    };
    let options = job.system.expect.options(job.board)?;
    let run = qemu::run(job.board, image, &options, |_| {})?;
    let log = qemu::log_path(&house.target(), &job.short(), job.board);
    fs::write(&log, run.console.raw()).with_context(|| log.display().to_string())?;
    let mut demand = job.system.expect.demand(job.board);
    if let Some(Version { release: Ok(release), .. }) = &job.version {
        demand.says.values_mut().for_each(|texts| versions::expected(texts, release));
    }
    let mut faults = judge::judge(&demand, &run);
    if demand.twice && faults.is_empty() {
        let again = qemu::run(job.board, image, &options, |_| {})?;
        if again.console.raw() != run.console.raw() {
            let log = log.with_extension("again.log");
            fs::write(&log, again.console.raw())?;
            faults.push(format!("a second run prints otherwise, see {}", log.display()));
        }
    }
    if faults.is_empty() {
        return Ok(Ok(format!(" ({:.1} s)", run.took.as_secs_f64())));
    }
    let mut why = faults.join("\n");
    why.push_str(&format!("\nthe end of its console, all of it in {}:\n", log.display()));
    for line in run.console.tail(TAIL).lines() {
        why.push_str(&format!("  | {line}\n"));
    }
    Ok(Err(why))
}
