//! Taking the latch exclusively, in a session of its own.

use std::time::{Duration, Instant};

use crossfade_store::{ErrorKind, Fire, Result, StoreError};

use super::blockers::{self, Held};
use super::{names, register};
use crate::connect::Client;
use crate::session::{IDLE_IN_TRANSACTION, Purpose};
use crate::store::PostgresStore;

/// How long tries wait, in turn, and so how long writers wait behind them: the place in the queue is given up long before the server looks for
/// deadlocks (`deadlock_timeout`, one second), so that a writer behind us who has what the lock's holder wants goes on, and nobody sees an
/// error. Short ones are many: against such writers only another moment helps, not a longer one.
pub(super) const SLICES: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(100),
];

/// No try for the latch is longer, unless a quarter of the time allowed is: it is what all writers may wait for a try that fails.
const LONGEST_SLICE: Duration = Duration::from_millis(700);

/// Between two tries, so that those who waited behind us are through; uneven, so as not to fall into step with a writer.
pub(super) async fn pause(tries: u32) {
    tokio::time::sleep(Duration::from_millis(3 + u64::from(tries) * 7 % 23)).await;
}

/// The shortest and the longest time that the server counts for a silent holder.
const HOLD: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));

/// The exclusive latch, while its session lives. Dropping it ends the session, and with it the latch.
pub(super) struct Hold {
    store: PostgresStore,
    pub(super) client: Client,
    pub(super) migration: String,
}

impl Hold {
    /// Takes the latch.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`], naming who was in the way; [`ErrorKind::Missing`] where there is no register; the connection's.
    pub(super) async fn take(store: &PostgresStore, migration: &str, fire: &Fire) -> Result<Hold> {
        let client = store.connect(Purpose::Fence).await?;
        register::require_version(&client)?;
        register::require(&client, migration).await?;
        refuse_pooler(store, &client).await?;
        prepare(&client, fire.hold).await?;
        queue(&client, migration, fire).await?;
        // what is done under the latch may wait for more than a try for it: an applier's commit, when the store opens
        let usual = format!("SET lock_timeout = '{}'", Purpose::Fence.lock_timeout());
        client
            .batch("setting up the fence's session", &usual)
            .await?;
        let hold = Hold {
            store: store.clone(),
            client,
            migration: migration.to_owned(),
        };
        register::require_held(&hold.client, migration).await?;
        Ok(hold)
    }

    /// Gives the latch back.
    ///
    /// # Errors
    /// The connection's; the latch is free then, too.
    pub(super) async fn release(self) -> Result<()> {
        let doing = "releasing the latch";
        let key = names::latch(&self.migration);
        // however often it was taken; a session that is not kept gives it back by its end at the latest
        let sql = "SELECT pg_advisory_unlock($1), pg_advisory_unlock_all()::text";
        let row = self.client.query_one(doing, sql, &[&key]).await?;
        if row.get(0) && as_before(&self.client).await.is_ok() {
            // a switch takes a store's latch several times while writers wait: a new session would cost each time
            self.store.keep(self.client);
        }
        Ok(())
    }
}

/// A pooler that gives sessions out by the transaction gives ours to the next who asks.
///
/// # Errors
/// [`ErrorKind::Setting`].
async fn refuse_pooler(store: &PostgresStore, client: &Client) -> Result<()> {
    // an address does not turn into a pooler's between two latches of one switch
    if store.is_direct() {
        return Ok(());
    }
    let doing = "looking for a pooler";
    let own = "SELECT pg_backend_pid()";
    let first: i32 = client.query_one(doing, own, &[]).await?.get(0);
    let other = store.connect(Purpose::Fence).await?;
    other.batch(doing, "BEGIN READ ONLY").await?;
    let second: i32 = other.query_one(doing, own, &[]).await?.get(0);
    let third: i32 = client.query_one(doing, own, &[]).await?.get(0);
    other.batch(doing, "COMMIT").await?;
    store.keep(other);
    if first == third && first != second {
        store.set_direct();
        return Ok(());
    }
    Err(StoreError::new(
        ErrorKind::Setting,
        "postgres.pooler",
        client.label(),
        "the connection goes through a pooler that changes sessions between transactions: no latch can be held through it",
    )
    .fix("Give the server's own address in the URL, not the pooler's"))
}

/// Undoes [`prepare`].
async fn as_before(client: &Client) -> Result<()> {
    let sql = format!(
        "SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}'"
    );
    client.batch("giving the fence's session back", &sql).await
}

/// The server ends the session, and frees the latch with it, if nothing is heard from it for so long: neither between transactions nor
/// within one (PostgreSQL documentation, "Client Connection Defaults").
async fn prepare(client: &Client, hold: Duration) -> Result<()> {
    let millis = hold.clamp(HOLD.0, HOLD.1).as_millis();
    let sql = format!(
        "SET idle_session_timeout = {millis}; SET idle_in_transaction_session_timeout = {millis}"
    );
    client.batch("setting up the fence's session", &sql).await
}

/// Tries for the latch in slices, until `within` is over.
async fn queue(client: &Client, migration: &str, fire: &Fire) -> Result<()> {
    let begun = Instant::now();
    let longest = LONGEST_SLICE.max(fire.within / 4);
    let mut tries = 0;
    loop {
        let passed = begun.elapsed();
        let left = fire.within.saturating_sub(passed);
        let slice = slice(tries, passed).min(longest).min(left);
        let held = blockers::of_latch(client, migration).await?;
        if fire.end_blockers && passed >= fire.within / 2 {
            end(client, &held).await?;
        }
        // behind one that sits there, or an older holder, writers would wait for nothing
        let hopeless = held
            .iter()
            .any(|h| h.exclusive || h.pid.is_none() || h.idle && h.blocker.age > longest);
        let taken = if hopeless || slice.is_zero() {
            try_at_once(client, migration).await?
        } else {
            wait_for(client, migration, slice).await?
        };
        if taken {
            return Ok(());
        }
        if begun.elapsed() >= fire.within {
            return Err(busy(client, migration, fire.within).await?);
        }
        tries += 1;
        pause(tries).await;
    }
}

/// How long a try waits. Where transactions of a second each follow one another, one try must be that long: now and then one is, as long as
/// the time that has passed allows.
fn slice(tries: u32, passed: Duration) -> Duration {
    let usual = SLICES[tries as usize % SLICES.len()];
    if tries % 8 == 7 {
        usual.max(passed / 4)
    } else {
        usual
    }
}

async fn try_at_once(client: &Client, migration: &str) -> Result<bool> {
    let key = names::latch(migration);
    let row = client
        .query_one(
            "taking the latch",
            "SELECT pg_try_advisory_lock($1)",
            &[&key],
        )
        .await?;
    Ok(row.get(0))
}

async fn wait_for(client: &Client, migration: &str, slice: Duration) -> Result<bool> {
    let doing = "taking the latch";
    let millis = slice.as_millis().max(1);
    client
        .batch(doing, &format!("SET lock_timeout = {millis}"))
        .await?;
    let key = names::latch(migration);
    match client
        .query_one(doing, "SELECT pg_advisory_lock($1)", &[&key])
        .await
    {
        Ok(_) => Ok(true),
        // a deadlock can only be one that the server found among others before us; and a lock that it grants as the time runs
        // out stays the session's, though the statement fails
        Err(e) if matches!(e.kind, ErrorKind::Busy | ErrorKind::Conflict) => {
            register::is_held(client, migration).await
        }
        Err(e) => Err(e),
    }
}

/// Ends the sessions that hold the latch, or a table, shared. One that holds it exclusively is another switch's.
pub(super) async fn end(client: &Client, held: &[Held]) -> Result<()> {
    let pids: Vec<i32> = held
        .iter()
        .filter(|h| !h.exclusive)
        .filter_map(|h| h.pid)
        .collect();
    if pids.is_empty() {
        return Ok(());
    }
    let ended = client
        .execute(
            "ending transactions that are in the way",
            "SELECT pg_terminate_backend(pid) FROM unnest($1::int4[]) AS p (pid)",
            &[&pids],
        )
        .await;
    match ended {
        // a superuser's, or another role's: it is waited for like any other, and named in the end
        Err(e) if e.kind == ErrorKind::Permission => Ok(()),
        other => other.map(drop),
    }
}

async fn busy(client: &Client, migration: &str, within: Duration) -> Result<StoreError> {
    let held = blockers::of_latch(client, migration).await?;
    let error = StoreError::new(
        ErrorKind::Busy,
        "postgres.latch_busy",
        client.label(),
        format!(
            "the fence of migration {migration} could not be fired within {} ms: in the way: {}",
            within.as_millis(),
            blockers::named(&held)
        ),
    );
    Ok(error.fix(blockers::way_out(&held)))
}
