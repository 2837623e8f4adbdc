// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Rings of requests and responses that a device and its frontend share (`io/ring.h`).
//!
//! ```text
//!   0 req_prod │ 4 req_event │ 8 rsp_prod │ 12 rsp_event │ … 64 entries, a power of two of them
//! ```
//! Responses take the places of requests. An event is wanted when a count passes `…_event`.

/// How many requests there were.
pub const REQ_PROD: usize = 0;
/// From which request on the backend wants to be told.
pub const REQ_EVENT: usize = 4;
/// How many responses there were.
pub const RSP_PROD: usize = 8;
/// From which response on the frontend wants to be told.
pub const RSP_EVENT: usize = 12;
/// Where the entries begin.
pub const ENTRIES: usize = 64;
