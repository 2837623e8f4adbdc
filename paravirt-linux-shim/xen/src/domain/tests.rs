// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Guests against a domain: one that boots as Linux does, hostile ones, several vCPUs at once.

mod boot;
mod guest;
mod hostile;
mod rings;
mod threads;
mod translated;
mod waiting;
