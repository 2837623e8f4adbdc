// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Verdicts: what the harness counts.

use core::fmt::{self, Debug, Display, Write};

use parzelle_rt::println;

/// A group of checks with one verdict at its end. Each failure is a verdict of its own.
#[derive(Debug)]
pub struct Test {
    what: &'static str,
    checks: u32,
    failures: u32,
}

impl Test {
    /// Begins a group.
    pub const fn new(what: &'static str) -> Self {
        Self { what, checks: 0, failures: 0 }
    }

    /// Notes whether something holds.
    pub fn check(&mut self, holds: bool, why: impl Display) {
        self.checks += 1;
        if !holds {
            self.fail(why);
        }
    }

    /// Notes whether something is what it should be.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: T, wanted: T) {
        let holds = found == wanted;
        self.check(holds, format_args!("{what}: {found:?}, should be {wanted:?}"));
    }

    /// Notes whether a number lies within bounds, both included.
    pub fn within(&mut self, what: &str, found: u64, least: u64, most: u64) {
        let holds = (least..=most).contains(&found);
        self.check(holds, format_args!("{what}: {found}, should be {least} to {most}"));
    }

    /// Says that something is wrong.
    pub fn fail(&mut self, why: impl Display) {
        self.failures += 1;
        let why = Quoted(&why);
        println!("##{{\"verdict\":\"fail\",\"what\":\"{}\",\"why\":\"{why}\"}}", self.what);
    }

    /// Gives the verdict. A group without any check has not shown anything.
    pub fn verdict(mut self) {
        if self.checks == 0 {
            self.fail("nothing was checked");
        }
        if self.failures == 0 {
            let (what, checks) = (self.what, self.checks);
            println!("##{{\"verdict\":\"pass\",\"what\":\"{what}\",\"checks\":{checks}}}");
        }
    }
}

/// Text within JSON: quotes and backslashes become apostrophes, line ends spaces.
struct Quoted<'a, T>(&'a T);

impl<T: Display> Display for Quoted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Inner<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for Inner<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars().try_for_each(|c| {
                    self.0.write_char(match c {
                        '"' | '\\' => '\'',
                        c if c.is_control() => ' ',
                        c => c,
                    })
                })
            }
        }
        write!(Inner(f), "{}", self.0)
    }
}
