//! Giving up a resting lane's log.

use crossfade_model::Position;
use crossfade_store::{ErrorKind, Result};

use crate::lsn;
use crate::names::capture_name;
use crate::replication::slot;
use crate::session::Purpose;
use crate::store::PostgresStore;

/// Moves the lane's slot forward; see [`crossfade_store::Fence::skip_log`]. A slot that is read just now moves by its reader: no error, and
/// nothing is skipped. A slot never moves beyond the log's flushed end, nor back.
///
/// # Errors
/// [`ErrorKind::Missing`] where there is no slot; the server's.
pub(super) async fn skip_log(store: &PostgresStore, lane: &str, position: Position) -> Result<()> {
    let client = store.connect(Purpose::Fence).await?;
    let name = capture_name(lane);
    let Some(slot) = slot::read(&client, &name).await? else {
        return Err(crossfade_store::StoreError::new(
            ErrorKind::LogLost,
            "postgres.slot_missing",
            store.label(),
            format!("replication slot {name} does not exist"),
        ));
    };
    if slot.active_pid.is_some() || slot.confirmed.is_some_and(|at| at >= position) {
        store.keep(client);
        return Ok(());
    }
    let moved = client
        .query_opt(
            "giving up a resting lane's log",
            "SELECT pg_replication_slot_advance(slot_name, $2::text::pg_lsn)::text
             FROM pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn < $2::text::pg_lsn",
            &[&name, &lsn::show(position)],
        )
        .await;
    match moved {
        // a reader came in between
        Err(e) if e.kind == ErrorKind::Busy => Ok(()),
        other => {
            other?;
            store.keep(client);
            Ok(())
        }
    }
}
