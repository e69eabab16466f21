//! Transactions that are in the log and that readers do not see yet.
//!
//! A commit is in the log, and goes out to whoever decodes it, before the transaction is taken from the list of running ones:
//! for microseconds, or for as long as a synchronous standby does not answer. No snapshot taken meanwhile sees it, and where
//! none began later its id is not below a snapshot's `xmax` either. What a transaction holds until it is off that list is the
//! lock on its own id (PostgreSQL documentation, "pg_locks"), which any role may look at.

use crossfade_model::TransactionId;
use crossfade_store::Result;

use crate::replication::xid;
use crate::session::Purpose;
use crate::store::PostgresStore;

/// The transactions that hold their ids now; none where no commit waits for a standby.
///
/// # Errors
/// The connection's.
pub async fn maybe_unseen(store: &PostgresStore) -> Result<Vec<TransactionId>> {
    let client = store.connect(Purpose::Check).await?;
    let row = client
        .query_one(
            "looking for commits that readers do not see",
            // once the setting is empty, those that waited wait no longer (PostgreSQL documentation,
            // "synchronous_standby_names")
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8,
                    array(SELECT transactionid::text::int8 FROM pg_locks
                          WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted
                            AND current_setting('synchronous_standby_names') <> '')",
            &[],
        )
        .await?;
    let (reference, held): (i64, Vec<i64>) = (row.get(0), row.get(1));
    store.keep(client);
    Ok(held
        .into_iter()
        .filter_map(|id| u32::try_from(id).ok())
        .map(|id| TransactionId(xid::widen(id, reference.unsigned_abs())))
        .collect())
}
