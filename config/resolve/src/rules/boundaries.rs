// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What happens as a window begins: PZ0420 and PZ0421.
//!
//! ```text
//!   planned start            window's end
//!   |flush ▓▓▓▓······|program ────────|
//!   |<---- pad ----->|                    the same however long the flush takes
//! ```

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::text::show_time;

use super::windows::PlacedCore;
use super::{Ctx, written_time};

/// Checks the windows of a core. One whose pad can't be is treated as if it had none.
pub(super) fn check(cx: &mut Ctx<'_>, core: &mut PlacedCore) {
    for w in &mut core.windows {
        match (w.pad, w.pad_place) {
            (pad, Some(place)) if pad > 0 && w.duration > 0 && pad >= w.duration => {
                let mut d = Diagnostic::error(
                    "PZ0420",
                    format!("the `pad` leaves nothing of the window of `{}`", w.run),
                    place,
                    format!("its programs would start {} after the window does", show_time(pad)),
                )
                .counter(w.duration_place.unwrap_or(w.place), format!("{} long", show_time(w.duration)));
                let shortest = cx.board.shortest_window.good().map_or(0, |shortest| shortest.value);
                d = match w.duration.saturating_sub(shortest) {
                    0 => d.help("a longer window"),
                    most => d.fix(
                        format!("at most {} leave the shortest window of this board", show_time(most)),
                        place,
                        format!("\"{}\"", written_time(most)),
                    ),
                };
                cx.push(d);
                w.pad = 0;
                core.unclear = true;
            }
            (0, None) if w.flush => cx.push(
                Diagnostic::warning(
                    "PZ0421",
                    format!("when `{}` starts depends on what ran before it", w.run),
                    w.flush_place.unwrap_or(w.place),
                    "takes longer, the more of the caches was written to",
                )
                .counter(w.place, "this window has no `pad`")
                .help(
                    "`pad = \"TIME\"`, longer than the flush ever takes: programs start so long after the window does",
                ),
            ),
            _ => {}
        }
    }
}
