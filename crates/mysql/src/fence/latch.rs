//! A fired fence: a transaction that holds the register's row.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::{Position, Register};
use crossfade_store::{ErrorKind, Fire, Latch, Result, Standing, StoreError};
use sha2::{Digest as _, Sha256};

use super::register::{self, Lock};
use super::triggers;
use crate::MysqlStore;
use crate::connect::Client;
use crate::lineage;
use crate::names::literal;
use crate::position;
use crate::session::Purpose;

/// The least that the server counts in.
const SECOND: Duration = Duration::from_secs(1);

/// Between two tries after a deadlock.
const PAUSE: Duration = Duration::from_millis(5);

/// The lock by which the latch's holder is known to all sessions; the server has one name space for all databases.
fn holders_lock(store: &MysqlStore, migration: &str) -> String {
    let digest = Sha256::digest(format!("{}\0{migration}", store.address.database));
    format!(
        "crossfade.fence.{}",
        crossfade_model::hex::encode(&digest[..16])
    )
}

/// The connection that holds the latch, or is about to.
pub(super) async fn holder(
    client: &mut Client,
    store: &MysqlStore,
    migration: &str,
) -> Result<Option<u64>> {
    let lock = literal(&holders_lock(store, migration));
    let row = client
        .text_row(
            "looking for the latch's holder",
            &format!("SELECT IS_USED_LOCK({lock})"),
        )
        .await?;
    Ok(row.and_then(|row| row.number(0)))
}

/// A fired fence.
pub(super) struct MysqlLatch {
    store: MysqlStore,
    client: Client,
    migration: String,
    standing: Standing,
    /// The register was changed: what it says now keeps writers off, and the row's lock is given up.
    committed: bool,
}

/// Takes the latch. Writers that come after wait behind it; a deadlock with one that has the latch shared and waits for another
/// who is about to take it ends this try, as the lightest of them, and it begins again.
pub(super) async fn fire(store: &MysqlStore, migration: &str, fire: &Fire) -> Result<MysqlLatch> {
    let begun = Instant::now();
    let mut client = store.connect(Purpose::Fence).await?;
    let hold = fire.hold.max(SECOND).as_secs();
    client
        .run(
            "setting up the latch",
            &format!("SET SESSION wait_timeout = {hold}"),
        )
        .await?;
    take_turn(&mut client, store, migration, fire.within).await?;
    let mut ended = false;
    let standing = loop {
        let left = fire.within.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(busy(store, &mut client).await);
        }
        // half of the time for waiting, the rest once they were ended
        let wait = if fire.end_blockers && !ended {
            (fire.within / 2).saturating_sub(begun.elapsed())
        } else {
            left
        };
        match lock_row(&mut client, migration, wait).await {
            Ok(standing) => break standing,
            Err(e) if e.kind == ErrorKind::Conflict => tokio::time::sleep(PAUSE).await,
            Err(e) if e.kind == ErrorKind::Busy => {
                if fire.end_blockers && !ended {
                    super::blockers::end(store).await?;
                    ended = true;
                }
            }
            Err(e) => return Err(e),
        }
    };
    Ok(MysqlLatch {
        store: store.clone(),
        client,
        migration: migration.to_owned(),
        standing,
        committed: false,
    })
}

async fn take_turn(
    client: &mut Client,
    store: &MysqlStore,
    migration: &str,
    within: Duration,
) -> Result<()> {
    let lock = literal(&holders_lock(store, migration));
    let taken = client
        .text_row(
            "taking the latch",
            &format!("SELECT GET_LOCK({lock}, {})", within.max(SECOND).as_secs()),
        )
        .await?;
    if taken.is_some_and(|row| row.is_true(0)) {
        return Ok(());
    }
    Err(client.fault(
        ErrorKind::Busy,
        "mysql.latch",
        "another process holds the fence",
    ))
}

async fn lock_row(client: &mut Client, migration: &str, wait: Duration) -> Result<Standing> {
    let doing = "taking the latch";
    client
        .run(
            doing,
            &format!(
                "SET SESSION innodb_lock_wait_timeout = {}",
                wait.max(SECOND).as_secs()
            ),
        )
        .await?;
    client.run(doing, "START TRANSACTION").await?;
    let locked = register::expect(client, migration, Lock::Exclusive).await;
    if locked.is_err() {
        client.run(doing, "ROLLBACK").await?;
    }
    locked
}

async fn busy(store: &MysqlStore, client: &mut Client) -> StoreError {
    let who: Vec<String> = super::blockers::list(store)
        .await
        .unwrap_or_default()
        .into_iter()
        .map(|blocker| blocker.who)
        .take(5)
        .collect();
    let who = if who.is_empty() {
        "writing transactions".to_owned()
    } else {
        who.join("; ")
    };
    client
        .fault(
            ErrorKind::Busy,
            "mysql.latch",
            format!("writes did not end in time: {who}"),
        )
        .fix("Let them end, or allow to end them (`--kill-blockers`)")
}

impl MysqlLatch {
    fn lost(&self) -> StoreError {
        self.client
            .fault(
                ErrorKind::Connection,
                "mysql.latch_lost",
                "the fence was given up: its transaction has ended",
            )
            .fix("Read the register again and begin again from there")
    }

    /// The row is still ours, or says what it was changed to.
    async fn check(&mut self) -> Result<()> {
        let lock = if self.committed {
            Lock::No
        } else {
            Lock::Exclusive
        };
        let now = register::expect(&mut self.client, &self.migration, lock).await?;
        if now.register == self.standing.register {
            return Ok(());
        }
        Err(self.lost())
    }
}

#[async_trait]
impl Latch for MysqlLatch {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    /// A mark of another session: it cannot be in the log before what was committed earlier.
    async fn barrier(&mut self) -> Result<Position> {
        self.check().await?;
        let mut other = lineage::connect(&self.store, Purpose::Fence).await?;
        register::mark(&mut other, &self.migration).await?;
        let end = position::log_end(&mut other).await?;
        other.close().await;
        Ok(end)
    }

    async fn recheck(&mut self) -> Result<Vec<String>> {
        self.check().await?;
        let mut other = self.store.connect(Purpose::Check).await?;
        let fenced = register::fenced(&mut other, &self.migration).await?;
        let mut out = triggers::missing(&mut other, &self.migration, &fenced).await?;
        out.extend(super::findings::in_the_way(&mut other).await?);
        let cascades = super::findings::cascades(&mut other, &fenced).await?;
        out.extend(
            cascades
                .into_iter()
                .map(|(table, what)| format!("table {table}: {what}")),
        );
        other.close().await;
        Ok(out)
    }

    async fn commit(&mut self, from: Register, to: Register) -> Result<()> {
        let doing = "changing the register";
        if self.committed {
            self.client.run(doing, "START TRANSACTION").await?;
        }
        if let Err(e) = register::swap(&mut self.client, &self.migration, from, to).await {
            if self.committed {
                self.client.run(doing, "ROLLBACK").await?;
            }
            return Err(e);
        }
        self.client.run(doing, "COMMIT").await?;
        self.standing.register = to;
        self.committed = true;
        Ok(())
    }

    async fn standbys_holding(&mut self, _named: &[String]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn keep(&mut self) -> Result<()> {
        self.check().await
    }

    async fn release(mut self: Box<Self>) -> Result<()> {
        self.client.run("releasing the latch", "ROLLBACK").await?;
        self.client.close().await;
        Ok(())
    }
}
