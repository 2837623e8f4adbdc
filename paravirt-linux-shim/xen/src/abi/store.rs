// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The store's page and messages (`io/xs_wire.h`).

/// Bytes of each ring.
pub const RING: usize = 1024;
/// Bytes that the body of a message has at most.
pub const PAYLOAD: usize = 4096;

/// Where things lie in the store's page (`xenstore_domain_interface`). Counts are 32 bits.
pub mod at {
    /// The ring of requests.
    pub const REQUESTS: usize = 0;
    /// The ring of replies and events.
    pub const REPLIES: usize = REQUESTS + super::RING;
    /// How much of the requests was taken.
    pub const REQUESTS_CONS: usize = REPLIES + super::RING;
    /// How much the guest has written.
    pub const REQUESTS_PROD: usize = REQUESTS_CONS + 4;
    /// How much of the replies the guest has taken.
    pub const REPLIES_CONS: usize = REQUESTS_PROD + 4;
    /// How much was written.
    pub const REPLIES_PROD: usize = REPLIES_CONS + 4;
    /// What the server can do besides.
    pub const FEATURES: usize = REPLIES_PROD + 4;
    /// 0: connected.
    pub const CONNECTION: usize = FEATURES + 4;
}

super::wire! {
    /// What each message begins with (`xsd_sockmsg`).
    Header: 16 {
        /// See [`Message`].
        0 kind: u32,
        /// The reply has the request's.
        4 request: u32,
        /// The transaction; 0: none.
        8 transaction: u32,
        /// Bytes of the body.
        12 length: u32,
    }
}

super::numbers! {
    /// Messages.
    Message {
        /// For whoever looks after the store.
        Control = 0,
        /// Names of what lies below.
        Directory = 1,
        /// A value.
        Read = 2,
        /// Who may do what.
        GetPermissions = 3,
        /// "Tell me of changes there."
        Watch = 4,
        /// "No more."
        Unwatch = 5,
        /// Begins a transaction.
        TransactionStart = 6,
        /// Ends it.
        TransactionEnd = 7,
        /// Makes a domain known.
        Introduce = 8,
        /// Forgets it.
        Release = 9,
        /// Where a domain's part begins.
        DomainPath = 10,
        /// Writes a value.
        Write = 11,
        /// Makes a node without a value.
        MakeDirectory = 12,
        /// Removes a node and what lies below.
        Remove = 13,
        /// Says who may do what.
        SetPermissions = 14,
        /// Something has changed.
        Event = 15,
        /// A refusal: its name.
        Error = 16,
        /// Whether a domain is known.
        IsIntroduced = 17,
        /// Goes on after a suspend.
        Resume = 18,
        /// A domain that does work for another.
        SetTarget = 19,
        /// Forgets all watches.
        ResetWatches = 21,
        /// Names of what lies below, in parts.
        DirectoryPart = 22,
    }
}
