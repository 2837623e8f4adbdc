// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where an attacker counts what it has done: offsets in the memory that it shares with its
//! watcher.

/// Kernel calls.
pub const CALLS: u64 = 0;
/// Reads, writes and jumps outside of its own memory.
pub const MEMORY: u64 = 8;
/// Privileged instructions.
pub const PRIVILEGED: u64 = 16;
/// Times that it filled its vCPU page with garbage.
pub const GARBAGE: u64 = 24;
/// Starts.
pub const STARTS: u64 = 32;
/// Things that it managed to do and should not.
pub const BREACHES: u64 = 40;
/// Reports in its log.
pub const LOGGED: u64 = 48;
