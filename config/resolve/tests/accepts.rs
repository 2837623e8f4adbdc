// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The example systems are accepted, and what is derived from them is what the language says.

#[allow(clippy::unwrap_used, reason = "a panic in a test is the verdict")]
mod support;

use parzelle_resolve::check::{Outcome, check, check_text};
use parzelle_resolve::model::*;
use parzelle_resolve::render::{Style, text};

fn system(name: &str) -> Outcome {
    check(&support::root().join("config/systems").join(name), &support::environment())
}

/// The systems of a text that has no errors.
fn systems(description: &str) -> Vec<System> {
    let outcome = check_text("test.toml", description.to_owned(), &support::root(), &support::environment());
    assert_eq!(outcome.errors(), 0, "{}", text(&outcome, Style::Plain));
    outcome.systems
}

#[test]
fn hello_has_a_console_that_nobody_wrote() {
    let outcome = system("hello.toml");
    assert!(outcome.findings.is_empty(), "{}", text(&outcome, Style::Plain));
    assert_eq!(outcome.systems.len(), 2);
    for s in &outcome.systems {
        let names: Vec<&str> = s.partitions.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["console", "hello"]);
        let console = &s.consoles[0];
        assert!(console.derived && s.partitions[0].derived);
        assert_eq!((console.server, &console.members[..]), (PartitionIndex(0), &[PartitionIndex(1)][..]));
        assert_eq!(s.board.devices[console.device.0].owner, Some(PartitionIndex(0)));
        assert_eq!(s.partitions[1].console, Some(ConsoleIndex(0)));
        assert_eq!((s.schedules[0].frame, s.cores), (10_000_000, 1));
        assert_eq!(s.schedules[0].cores[0].windows.len(), 1);
        let run = s.board.run.as_ref().unwrap();
        assert!(run.arguments.iter().all(|a| !a.contains('{')), "{:?}", run.arguments);
    }
}

#[test]
fn a_file_called_system_is_named_after_its_folder() {
    let text = "[system]\nboards = [\"qemu-q35-x86_64\"]\n[partition.hello]\ncrate = \"hello\"\n";
    let name = |shown: &str| {
        let outcome = check_text(shown, text.to_owned(), &support::root().join("tests"), &support::environment());
        outcome.systems[0].name.clone()
    };
    assert_eq!(name("somewhere/first.toml").value, "first");
    let folder = name("system.toml");
    assert_eq!((folder.value.as_str(), &*folder.origin.0), ("tests", "from the folder's name"));
}

#[test]
fn speed_has_windows_and_gaps() {
    let outcome = system("speed.toml");
    assert!(outcome.findings.is_empty(), "{}", text(&outcome, Style::Plain));
    let s = &outcome.systems[0];
    let name = |w: &Window| s.time_partitions[w.time_partition.0].name.clone();
    let ms = 1_000_000;
    let windows: Vec<(String, u64, u64)> =
        s.schedules[0].cores[0].windows.iter().map(|w| (name(w), w.start / ms, w.duration / ms)).collect();
    let expected = [("control", 0, 2), ("display", 2, 5), ("0", 7, 3), ("control", 10, 2), ("0", 12, 8)];
    assert_eq!(windows, expected.map(|(n, s, d)| (n.to_owned(), s, d)));
    let control = s.partition(s.find("control").unwrap()).unwrap();
    let ports: Vec<&str> = control.ports.iter().map(Port::name).collect();
    assert_eq!(ports, ["set-points", "state"]);
    assert_eq!(control.vcpus.origin.0, "from the windows");
    let table = &s.health[control.health.value.0];
    assert_eq!(table.actions[Fault::StackOverflow as usize], Action::ColdStart);
    assert_eq!(table.actions[Fault::PowerFail as usize], Action::WarmStart);
}

#[test]
fn the_demo_has_its_guest_where_there_is_a_shim() {
    let outcome = system("demo.toml");
    // The guest's kernel is fetched by `cargo xtask setup`.
    let others = outcome.findings.iter().filter(|f| f.diagnostic.code != "PZ0201").count();
    assert_eq!(others, 0, "{}", text(&outcome, Style::Plain));
}

#[test]
fn without_drops_partitions_and_relations() {
    let all = systems(
        r#"
        [system]
        boards      = ["qemu-virt-aarch64", "qemu-q35-x86_64"]
        start-order = ["control", "hello"]
        [partition.control]
        crate          = "control"
        may.start-stop = ["hello"]
        [partition.hello]
        crate = "hello"
        [schedule.main]
        frame  = "10ms"
        core.0 = [{ run = "hello", duration = "1ms" }, { run = "control", duration = "2ms" }]
        [sampling.state]
        from           = "control"
        to             = ["hello"]
        message-size   = "16B"
        refresh-period = "40ms"
        [shared.both]
        size    = "64KiB"
        writers = ["control", "hello"]
        [board.qemu-q35-x86_64]
        without = ["hello"]
        "#,
    );
    let [arm, x86] = all.as_slice() else { panic!("two boards") };
    assert_eq!((arm.sampling.len(), arm.doorbells.len(), arm.start_order.len()), (1, 2, 2));
    assert_eq!((x86.sampling.len(), x86.doorbells.len(), x86.start_order.len()), (0, 0, 1));
    let control = x86.partition(x86.find("control").unwrap()).unwrap();
    assert!(control.may.start_stop.is_empty() && control.ports.is_empty() && control.shared.is_empty());
    // `control` keeps its place; the time of `hello` is nobody's.
    let windows = &x86.schedules[0].cores[0].windows;
    assert_eq!((windows[0].time_partition, windows[0].duration), (TimePartitionIndex::ZERO, 1_000_000));
    assert_eq!(windows[1].start, 1_000_000);
}

#[test]
fn overrides_options_and_cores() {
    let all = systems(
        r#"
        [system]
        boards = ["qemu-virt-aarch64"]
        [partition.control]
        crate    = "control"
        memory   = "1MiB"
        fp       = false
        config.x = { b = [1, 2.5], a = "q\"" }
        [schedule.main]
        frame  = "10ms"
        core.1 = [{ run = "control", period = "5ms" }]
        [board.qemu-virt-aarch64]
        option.gic = 2
        partition.control.memory = "2MiB"
        "#,
    );
    let s = &all[0];
    let control = s.partition(s.find("control").unwrap()).unwrap();
    assert_eq!(control.memory.value, Some(2 << 20));
    assert!(!control.fp.value);
    assert_eq!(control.config, "x.a = \"q\\\"\"\nx.b = [1, 2.5]\n");
    assert_eq!(control.vcpus.value, [Vcpu { core: 1 }]);
    assert_eq!(s.cores, 2);
    assert_eq!(s.board.options["gic"], OptionValue::Number(2));
    assert_eq!(s.schedules[0].cores[1].windows.len(), 2);
    assert!(s.board.run.as_ref().unwrap().arguments.iter().any(|a| a.contains("gic-version=2")));
}

#[test]
fn order_means_nothing() {
    let (a, b, head) = (
        "[partition.control]\ncrate = \"control\"\n",
        "[partition.hello]\ncrate = \"hello\"\n",
        "[system]\nboards = [\"qemu-virt-aarch64\"]\n",
    );
    let names = |text: &str| systems(text)[0].partitions.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&format!("{head}{a}{b}")), names(&format!("{b}{head}{a}")));
}

#[test]
fn windows_say_what_they_leave_and_how_they_begin() {
    let all = systems(
        r#"
        [system]
        boards = ["qemu-virt-aarch64"]
        [partition.control]
        crate   = "control"
        promise = "980us/5ms"           # the pad is no time for the partition
        [schedule.main]
        frame  = "10ms"
        core.0 = [{ run = "control", duration = "1ms", period = "5ms", slack = false, flush = true, pad = "20us" }]
        "#,
    );
    let windows = &all[0].schedules[0].cores[0].windows;
    let found: Vec<_> = windows.iter().map(|w| (w.start / 1000, w.slack, w.flush, w.pad)).collect();
    let (written, gap) = ((false, true, 20_000), (true, false, 0));
    let at = |start, (slack, flush, pad)| (start, slack, flush, pad);
    assert_eq!(found, [at(0, written), at(1000, gap), at(5000, written), at(6000, gap)]);
}
