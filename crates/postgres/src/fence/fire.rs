//! Firing, and what is done under the latch.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::{Beginning, Mode, Position, Register};
use crossfade_store::{ErrorKind, Fire, Latch, Result, Standing, StoreError};

use super::hold::Hold;
use super::{arm, blockers, names, register, standbys};
use crate::capture::{LOG_END, flush_log, snapshot_and_end};
use crate::connect::Client;
use crate::lsn;
use crate::names::OWN_SCHEMA;
use crate::session::Purpose;
use crate::store::PostgresStore;

/// How the latch is taken for a moment, by what needs no drain.
const SHORTLY: Fire = Fire {
    within: Duration::from_secs(15),
    end_blockers: false,
    hold: Duration::from_secs(15),
};

/// How long [`standing`] waits for a holder.
const STANDING_PATIENCE: Duration = Duration::from_secs(15);

/// The name of our messages in the log.
const MESSAGE: &str = "crossfade";

/// Fires; see [`crossfade_store::Fence::fire`].
///
/// # Errors
/// [`ErrorKind::Busy`]; the connection's.
pub(super) async fn fire(
    store: &PostgresStore,
    migration: &str,
    fire: &Fire,
) -> Result<PostgresLatch> {
    let hold = Hold::take(store, migration, fire).await?;
    let row = register::require(&hold.client, migration).await?;
    // what writers read may be older than the register where its writer died
    if register::read_gate(&hold.client, migration).await? != row.gate {
        register::agree(&hold.client, migration, row.gate).await?;
    }
    Ok(PostgresLatch {
        hold,
        standing: row.standing,
        durable: None,
    })
}

/// A fired fence.
pub(super) struct PostgresLatch {
    hold: Hold,
    standing: Standing,
    /// The log's end behind the last change of the register, once somebody has asked for it.
    durable: Option<Position>,
}

#[async_trait]
impl Latch for PostgresLatch {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    async fn barrier(&mut self) -> Result<Position> {
        let client = &self.hold.client;
        register::require_held(client, &self.hold.migration).await?;
        barrier(client, &self.hold.migration).await
    }

    async fn recheck(&mut self) -> Result<Vec<String>> {
        register::require_held(&self.hold.client, &self.hold.migration).await?;
        arm::recheck(&self.hold.client, &self.hold.migration).await
    }

    async fn commit(&mut self, from: Register, to: Register) -> Result<()> {
        register::swap(&self.hold.client, &self.hold.migration, from, to).await?;
        self.standing.register = to;
        self.durable = None;
        Ok(())
    }

    async fn standbys_holding(&mut self, named: &[String]) -> Result<Vec<String>> {
        let client = &self.hold.client;
        let position = match self.durable {
            Some(position) => position,
            None => standbys::durable_end(client).await?,
        };
        self.durable = Some(position);
        standbys::holding(client, named, position).await
    }

    async fn keep(&mut self) -> Result<()> {
        register::require_held(&self.hold.client, &self.hold.migration).await
    }

    async fn release(self: Box<Self>) -> Result<()> {
        self.hold.release().await
    }
}

/// A message of a transaction of its own: it is in the log before its commit returns, and so is everything before it. The stream
/// brings the end of that transaction, which lies behind the message.
async fn barrier(client: &Client, migration: &str) -> Result<Position> {
    let doing = "writing the barrier";
    let row = client
        .query_one(
            doing,
            "SELECT pg_logical_emit_message(true, $1, $2::text)::text",
            &[&MESSAGE, &migration],
        )
        .await?;
    lsn::parse(row.get(0)).ok_or_else(|| unreadable(client))
}

pub(super) fn unreadable(client: &Client) -> StoreError {
    StoreError::new(
        ErrorKind::Corrupt,
        "postgres.position",
        client.label(),
        "the server's position cannot be read",
    )
}

/// The register and the beginning, once no holder is there; see [`crossfade_store::Fence::standing`].
///
/// # Errors
/// [`ErrorKind::Busy`], naming the holder.
pub(super) async fn standing(store: &PostgresStore, migration: &str) -> Result<Option<Standing>> {
    let client = store.connect(Purpose::Fence).await?;
    if register::read(&client, migration).await?.is_none() {
        store.keep(client);
        return Ok(None);
    }
    // in a transaction: a process that stops here gives the latch back by the server's own timeout
    let doing = "reading the register";
    client
        .batch(
            doing,
            "BEGIN READ ONLY; SET LOCAL idle_in_transaction_session_timeout = '5s'",
        )
        .await?;
    take_shared(&client, migration).await?;
    let row = register::require(&client, migration).await?;
    let gate = register::read_gate(&client, migration).await?;
    client.batch(doing, "COMMIT").await?;
    store.keep(client);
    if gate == row.gate {
        return Ok(Some(row.standing));
    }
    // its writer died between the two; nobody writes while the gate moves
    let latch = fire(store, migration, &SHORTLY).await?;
    let standing = latch.standing.clone();
    latch.hold.release().await?;
    Ok(Some(standing))
}

/// The latch shared, as writers take it: it waits for whoever holds it exclusively and disturbs nobody.
async fn take_shared(client: &Client, migration: &str) -> Result<()> {
    let begun = Instant::now();
    let key = names::latch(migration);
    loop {
        let row = client
            .query_one(
                "reading the register",
                "SELECT pg_try_advisory_xact_lock_shared($1)",
                &[&key],
            )
            .await?;
        if row.get(0) {
            return Ok(());
        }
        if begun.elapsed() >= STANDING_PATIENCE {
            let held = blockers::of_latch(client, migration).await?;
            return Err(StoreError::new(
                ErrorKind::Busy,
                "postgres.latch_held",
                client.label(),
                format!(
                    "the fence of migration {migration} is held: {}",
                    blockers::named(&held)
                ),
            )
            .fix("Let that switch end, or end its session"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Changes the register under the latch, taken for that alone; see [`crossfade_store::Fence::swap`].
///
/// # Errors
/// [`ErrorKind::Conflict`]; [`ErrorKind::Busy`]; the connection's.
pub(super) async fn swap(
    store: &PostgresStore,
    migration: &str,
    from: Register,
    to: Register,
) -> Result<()> {
    let hold = Hold::take(store, migration, &SHORTLY).await?;
    register::swap(&hold.client, migration, from, to).await?;
    // the register is durable: that the session ended before it gave the latch back is nobody's loss
    let _ended = hold.release().await;
    Ok(())
}

/// Notes the log's end and a snapshot; see [`crossfade_store::Fence::note_beginning`].
///
/// # Errors
/// [`ErrorKind::Conflict`] where the store is open; the connection's.
pub(super) async fn note_beginning(
    store: &PostgresStore,
    migration: &str,
    epoch: u64,
) -> Result<Beginning> {
    let hold = Hold::take(store, migration, &SHORTLY).await?;
    let client = &hold.client;
    let row = register::require(client, migration).await?;
    let now = row.standing.register;
    let noted = row.standing.beginning.as_ref().map(|b| b.epoch);
    // a process that comes late must not move the beginning of a tenure that lives, open or under a held fence
    let held = now.mode == Mode::Fenced && now.epoch > 0;
    if now.mode == Mode::Open || held || epoch <= now.epoch || noted > Some(epoch) {
        return Err(StoreError::new(
            ErrorKind::Conflict,
            "postgres.store_open",
            client.label(),
            format!(
                "migration {migration}: the register is {now}: its changes have begun already, or a later switch is at work"
            ),
        ));
    }
    flush_log(client).await?;
    let doing = "noting where changes begin";
    // the snapshot first: what it does not see, other tables' transactions alone, may lie before the position
    let sql = format!("SELECT pg_current_snapshot()::text, {LOG_END}");
    let seen = client.query_one(doing, &sql, &[]).await?;
    let (snapshot, position) = snapshot_and_end(client.label(), &seen)?;
    let beginning = Beginning {
        epoch,
        position,
        snapshot,
        log: None,
    };
    let body = serde_json::to_string(&beginning).map_err(|_| unreadable(client))?;
    let update = format!("UPDATE {OWN_SCHEMA}.register SET beginning = $2 WHERE migration = $1");
    client.execute(doing, &update, &[&migration, &body]).await?;
    let _ended = hold.release().await;
    Ok(beginning)
}

/// Ends who holds the latch exclusively; see [`crossfade_store::Fence::end_holder`].
///
/// # Errors
/// [`ErrorKind::Permission`]; the connection's; [`ErrorKind::Busy`] where the session does not end.
pub(super) async fn end_holder(store: &PostgresStore, migration: &str) -> Result<Option<String>> {
    let client = store.connect(Purpose::Fence).await?;
    let begun = Instant::now();
    let mut ended = None;
    loop {
        let held = blockers::of_latch(&client, migration).await?;
        let Some((pid, who)) = held
            .into_iter()
            .find(|h| h.exclusive)
            .and_then(|h| Some((h.pid?, h.blocker.who)))
        else {
            store.keep(client);
            return Ok(ended);
        };
        if begun.elapsed() > STANDING_PATIENCE {
            return Err(StoreError::new(
                ErrorKind::Busy,
                "postgres.holder_stays",
                client.label(),
                format!("the fence's holder does not end: {who}"),
            )
            .fix(format!("SELECT pg_terminate_backend({pid})")));
        }
        client
            .execute(
                "ending the fence's holder",
                "SELECT pg_terminate_backend($1)",
                &[&pid],
            )
            .await?;
        ended = Some(who);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
