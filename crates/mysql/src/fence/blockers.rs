//! Transactions that keep the latch from being taken, or a table from being fenced.

use std::time::Duration;

use crossfade_store::{Blocker, Result};

use crate::MysqlStore;
use crate::connect::Client;
use crate::session::Purpose;

/// Transactions of this database that hold locks and are not crossfade's own: id, who, from where, seconds.
async fn open(client: &mut Client, store: &MysqlStore) -> Result<Vec<(u64, String, u64)>> {
    let own = store.sessions();
    let rows = client
        .texts(
            "looking for open transactions",
            "SELECT p.ID, p.USER, p.HOST, p.TIME FROM information_schema.INNODB_TRX t
             JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id
             WHERE p.DB = DATABASE() AND p.ID <> CONNECTION_ID() AND (t.trx_rows_locked > 0 OR t.trx_rows_modified > 0)",
        )
        .await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let id = row.number(0)?;
            let who = format!("{}@{}, connection {id}", row.text(1), row.text(2));
            (!own.contains(&id)).then(|| (id, who, row.number(3).unwrap_or_default()))
        })
        .collect())
}

/// Who they are; who may not ask is told nothing.
pub(super) async fn list(store: &MysqlStore) -> Result<Vec<Blocker>> {
    let mut client = store.connect(Purpose::Check).await?;
    let found = open(&mut client, store).await?;
    client.close().await;
    Ok(found
        .into_iter()
        .map(|(_, who, seconds)| Blocker {
            who,
            age: Duration::from_secs(seconds),
            can_end: true,
        })
        .collect())
}

/// Ends them. One that has ended meanwhile is no error.
pub(crate) async fn end(store: &MysqlStore) -> Result<()> {
    let mut client = store.connect(Purpose::Check).await?;
    for (id, _, _) in open(&mut client, store).await? {
        kill(&mut client, id).await?;
    }
    client.close().await;
    Ok(())
}

/// Ends a connection; that it is gone already is no error.
pub(crate) async fn kill(client: &mut Client, id: u64) -> Result<()> {
    const NO_SUCH_THREAD: &str = "1094";
    match client
        .run("ending a connection", &format!("KILL {id}"))
        .await
    {
        Err(e)
            if e.server_code
                .as_deref()
                .is_some_and(|c| c.contains(NO_SUCH_THREAD)) =>
        {
            Ok(())
        }
        done => done.map(drop),
    }
}
