// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tests: the guest's tables on the real service.

mod hostile;
mod queues;
mod rules;
mod sequences;
mod world;
