// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tests: the service on a memory that refuses what it should not be asked for.

mod cores;
mod hostile;
mod life;
mod model;
mod rules;
mod sequences;
mod world;
