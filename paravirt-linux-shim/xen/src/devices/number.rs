// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Numbers of devices, from their names in the guest.

use crate::abi::Errno;

/// Linux' major number of virtual disks.
const MAJOR: u32 = 202;
/// The bit of numbers with more room: disks beyond the sixteenth.
const EXTENDED: u32 = 1 << 28;

/// The number of disk `index`: sixteen minors for each, or 256.
const fn disk(index: u32) -> u32 {
    if index < 16 { MAJOR << 8 | index << 4 } else { EXTENDED | index << 8 }
}

/// The number of a disk that is called so: `xvda`, …, `xvdp`, …, `xvdzz`. Another name gives the first
/// that is free.
///
/// # Errors
/// [`Errno::Exists`]: that one is taken.
pub(super) fn of_disk(name: &str, taken: impl Fn(u32) -> bool) -> Result<u32, Errno> {
    let letters = name.strip_prefix("xvd").map(str::as_bytes);
    let place = |letter: &u8| letter.is_ascii_lowercase().then(|| u32::from(letter - b'a'));
    let index = match letters {
        Some([letter]) => place(letter),
        Some([first, second]) => place(first).zip(place(second)).map(|(first, second)| 26 * (first + 1) + second),
        _ => None,
    };
    let free = || (0..).map(disk).find(|number| !taken(*number)).unwrap_or(disk(0));
    let number = index.map_or_else(free, disk);
    if taken(number) { Err(Errno::Exists) } else { Ok(number) }
}

/// The number of a network port that is called so: `eth0`, `net1`. Without a number: the first that is
/// free.
///
/// # Errors
/// [`Errno::Exists`]: that one is taken.
pub(super) fn of_port(name: &str, taken: impl Fn(u32) -> bool) -> Result<u32, Errno> {
    let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let free = || (0..).find(|number| !taken(*number)).unwrap_or(0);
    let number = digits.parse().unwrap_or_else(|_| free());
    if taken(number) { Err(Errno::Exists) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_numbers_of_linux() {
        let free = |_| false;
        for (name, number) in
            [("xvda", 51712), ("xvdb", 51728), ("xvdp", 51952), ("xvdq", 0x1000_1000), ("xvdaa", 0x1000_1a00)]
        {
            assert_eq!(of_disk(name, free), Ok(number), "{name}");
        }
        assert_eq!(of_disk("root", |number| number == 51712), Ok(51728));
        assert_eq!(of_disk("xvda", |number| number == 51712), Err(Errno::Exists));
        assert_eq!(of_port("eth3", free), Ok(3));
        assert_eq!(of_port("lan", |number| number == 0), Ok(1));
        assert_eq!(of_port("eth0", |number| number == 0), Err(Errno::Exists));
    }
}
