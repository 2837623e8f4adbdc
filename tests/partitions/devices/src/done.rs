// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The end of a test: who has ports `done-…` to read hears all of the others first, and ends the
//! module.

use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::health::{End, finish};
use parzelle_rt::time::{MILLISECOND, sleep};
use parzelle_rt::{Error, Partition};

/// Tells that this part is done, or waits for the others and ends.
pub(crate) fn done(me: &Partition) -> Result<(), Error> {
    if let Ok(port) = me.queuing_source("done") {
        port.send(&[1])?;
        return Ok(());
    }
    for object in me.objects_of(ObjectKind::QueuingDestination) {
        let port = me.queuing_destination(object.name.as_str())?;
        while port.receive(&mut [0; 1]).is_err() {
            sleep(10 * MILLISECOND);
        }
    }
    finish(End::Stop)
}
