// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices as frontends use them, and as nobody should.

#![allow(clippy::unwrap_used, reason = "a panic here is the verdict of a test")]

mod block;
mod disk;
mod guest;
mod hostile;
mod life;
mod network;
mod port;
