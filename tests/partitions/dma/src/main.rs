// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A PCI function behind the IOMMU: its owner reads its configuration space, makes it write to its
//! DMA memory and hears of that, then aims it at everybody else's memory. Whatever a device is told,
//! it reaches only its owner's.
//!
//! ```text
//!   dma:    start 0: inside works, outside doesn't ─► warm start (the function is silenced)
//!           start 1: inside works again ─► verdict
//!   victim: looks at its memory all the time
//! ```
//! The function is a source of random numbers: a queue of one buffer, which it fills.
#![no_std]
#![no_main]

mod rng;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parzelle_rt::abi::health::Mode;
use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::health::{End, finish, own_statistics, set_mode};
use parzelle_rt::time::{MILLISECOND, sleep};
use parzelle_rt::{Error, Partition, VcpuPage, println};
use rng::Rng;
use test_support::{Test, Witness};

parzelle_rt::entry!(main);

/// A word of this program's own, beside its DMA memory.
static OWN: AtomicU64 = AtomicU64::new(7);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    parzelle_rt::ready()?;
    match me.config().text("test") {
        Some("victim") => victim(&me),
        _ => lead(&me),
    }
}

/// Watches its memory, for as long as it is asked to.
fn victim(me: &Partition) -> Result<(), Error> {
    let mut test = Test::new("nothing of mine changes");
    let mut witness = Witness::begin();
    let progress = me.shared("progress")?.memory();
    while progress.load_u64(0) != Some(DONE) {
        witness.look(&mut test);
        sleep(MILLISECOND);
    }
    witness.look(&mut test);
    witness.look(&mut test);
    test.verdict();
    // A kernel that measures tells how long it took to silence the function, among all else.
    let masked = own_statistics()?.longest_masked;
    if masked != 0 {
        println!("##{{\"bench\":\"longest_masked_path\",\"instructions\":{masked}}}");
    }
    finish(End::Stop)
}

/// What the leader writes when it has done its worst.
const DONE: u64 = 1;

fn lead(me: &Partition) -> Result<(), Error> {
    let start = VcpuPage::first().generation();
    let mut test = Test::new(if start == 0 { "a device is fenced in" } else { "a silenced device is as new" });
    let mut rng = Rng::open(me, &mut test)?;
    let reached = me.object(ObjectKind::DmaMemory, "dma-memory")?;
    let came = inside(&mut rng, &mut test);
    test.check(came, "no random bytes came");
    if start > 0 {
        test.verdict();
        me.shared("progress")?.memory().store_u64(0, DONE);
        return Ok(());
    }
    let victim = me.config().number("victim").unwrap_or(0);
    // Behind the memory, before it, another's, the image, the IOMMU. (Not messages of interrupts at
    // 0xfee0_0000: QEMU 7.2 passes those in the old format, whatever the IOMMU is told.)
    let end = reached.extra + reached.size;
    for target in [end, reached.extra - 4096, victim, victim + 0x4000, 0x20_0000, 0xfed9_0000] {
        rng.begin();
        rng.ask(target, 4096);
        // Whatever the device believes to have done, memory tells.
        sleep(2 * MILLISECOND);
    }
    test.equal("my own memory", OWN.load(Relaxed), 7);
    test.verdict();
    set_mode(Mode::WarmStart)
}

/// Lets the function fill a buffer in the DMA memory.
fn inside(rng: &mut Rng, test: &mut Test) -> bool {
    rng.begin();
    for _ in 0..3 {
        rng.clear();
        rng.ask(rng.buffer(), 64);
        rng.hear(test);
        test.equal("bytes", rng.answer(), Some(64));
    }
    rng.is_random()
}
