// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The device tree of the virtual board, written into a buffer that the caller gives.
//!
//! It says what [`crate::map`] says, in the words of the Devicetree Specification 0.4 and of
//! Linux's bindings.

mod writer;

pub use writer::OutOfRoom;

use crate::map::{
    EVENT_INTID, GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE, MAX_VCPUS, Range, UART_BASE, UART_CLOCK_HZ, UART_SIZE,
    UART_SPI,
};
use writer::Writer;

/// Handle of the interrupt controller, to which all others refer.
const GIC: u32 = 1;
/// Handle of the UART's clock.
const CLOCK: u32 = 2;

/// Interrupt kinds and flags of `arm,gic-v3`.
const SPI: u32 = 0;
const PPI: u32 = 1;
const EDGE: u32 = 1;
const LEVEL_HIGH: u32 = 4;
const LEVEL_LOW: u32 = 8;

/// What differs from guest to guest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Description<'a> {
    /// The guest's memory.
    pub ram: Option<Range>,
    /// How many vCPUs it has.
    pub vcpus: usize,
    /// Its command line.
    pub bootargs: &'a str,
    /// Where its initrd lies.
    pub initrd: Option<Range>,
    /// Where it may put Xen's grant table, if it has Xen's interface ([`crate::xen`]).
    pub grants: Option<Range>,
    /// Entropy for its random number generator. Without it a guest may wait long for its first
    /// random numbers.
    pub rng_seed: Option<&'a [u8]>,
    /// Where in its address space it shall put itself.
    pub kaslr_seed: Option<u64>,
}

/// Writes the device tree into `out` and returns its length.
///
/// # Errors
/// Fails if `out` is too short; 4 KiB and the command line are enough for every description.
pub fn write(description: &Description<'_>, out: &mut [u8]) -> Result<usize, OutOfRoom> {
    let mut tree = Writer::new(out);
    tree.begin("");
    tree.strings("compatible", &["parzelle,virt", "linux,dummy-virt"]);
    tree.strings("model", &["Parzelle virtual board"]);
    tree.cells("#address-cells", &[2]);
    tree.cells("#size-cells", &[2]);
    tree.cells("interrupt-parent", &[GIC]);
    chosen(&mut tree, description);
    if let Some(ram) = description.ram {
        tree.begin_at("memory", ram.start);
        tree.strings("device_type", &["memory"]);
        tree.wide("reg", &[ram.start, ram.size]);
        tree.end();
    }
    cpus(&mut tree, description.vcpus.clamp(1, MAX_VCPUS) as u32);
    interrupts_and_time(&mut tree, description.vcpus.clamp(1, MAX_VCPUS) as u64);
    uart(&mut tree);
    if let Some(grants) = description.grants {
        hypervisor(&mut tree, grants);
    }
    tree.end();
    tree.finish()
}

fn chosen(tree: &mut Writer<'_>, description: &Description<'_>) {
    tree.begin("chosen");
    tree.strings("bootargs", &[description.bootargs]);
    tree.strings("stdout-path", &["/pl011@9000000"]);
    if let Some(initrd) = description.initrd {
        tree.wide("linux,initrd-start", &[initrd.start]);
        tree.wide("linux,initrd-end", &[initrd.end()]);
    }
    if let Some(seed) = description.rng_seed {
        tree.bytes("rng-seed", seed);
    }
    if let Some(seed) = description.kaslr_seed {
        tree.wide("kaslr-seed", &[seed]);
    }
    tree.end();
}

fn cpus(tree: &mut Writer<'_>, vcpus: u32) {
    tree.begin("cpus");
    tree.cells("#address-cells", &[1]);
    tree.cells("#size-cells", &[0]);
    for n in 0..vcpus {
        tree.begin_at("cpu", u64::from(n));
        tree.strings("device_type", &["cpu"]);
        tree.strings("compatible", &["arm,armv8"]);
        tree.cells("reg", &[n]);
        tree.strings("enable-method", &["psci"]);
        tree.end();
    }
    tree.end();
    tree.begin("psci");
    tree.strings("compatible", &["arm,psci-1.0", "arm,psci-0.2"]);
    tree.strings("method", &["hvc"]);
    tree.end();
}

fn interrupts_and_time(tree: &mut Writer<'_>, vcpus: u64) {
    tree.begin("timer");
    tree.strings("compatible", &["arm,armv8-timer"]);
    // Secure, non-secure, virtual (the one that guests use), hypervisor.
    let timers = [13, 14, 11, 10].map(|ppi| [PPI, ppi, LEVEL_LOW]);
    tree.cells("interrupts", timers.as_flattened());
    tree.bytes("always-on", &[]);
    tree.end();

    tree.begin_at("intc", GICD_BASE);
    tree.strings("compatible", &["arm,gic-v3"]);
    tree.cells("#interrupt-cells", &[3]);
    tree.bytes("interrupt-controller", &[]);
    tree.wide("reg", &[GICD_BASE, GICD_SIZE, GICR_BASE, GICR_STRIDE * vcpus]);
    tree.cells("phandle", &[GIC]);
    tree.end();
}

/// After `xen.txt` of Linux's bindings. Kernels look for this very name, and for a version in front.
/// Each event raises the interrupt once: an edge.
fn hypervisor(tree: &mut Writer<'_>, grants: Range) {
    tree.begin("hypervisor");
    tree.strings("compatible", &["xen,xen-4.17", "xen,xen"]);
    tree.wide("reg", &[grants.start, grants.size]);
    tree.cells("interrupts", &[PPI, EVENT_INTID - 16, EDGE]);
    tree.end();
}

fn uart(tree: &mut Writer<'_>) {
    tree.begin("apb-pclk");
    tree.strings("compatible", &["fixed-clock"]);
    tree.cells("#clock-cells", &[0]);
    tree.cells("clock-frequency", &[UART_CLOCK_HZ]);
    tree.strings("clock-output-names", &["clk24mhz"]);
    tree.cells("phandle", &[CLOCK]);
    tree.end();

    tree.begin_at("pl011", UART_BASE);
    tree.strings("compatible", &["arm,pl011", "arm,primecell"]);
    tree.wide("reg", &[UART_BASE, UART_SIZE]);
    tree.cells("interrupts", &[SPI, UART_SPI, LEVEL_HIGH]);
    tree.cells("clocks", &[CLOCK, CLOCK]);
    tree.strings("clock-names", &["uartclk", "apb_pclk"]);
    tree.end();
}
