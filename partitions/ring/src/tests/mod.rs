// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tests of both halves of all protocols: honest peers that restart, peers that lie, and all orders
//! of what two cores do.

mod block;
mod clients;
mod hostile;
mod model;
mod streams;
