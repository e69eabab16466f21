//! The right to write to a target for one migration.
//!
//! A lock of the server's (`GET_LOCK`) says that a run is alive; it goes with its session. The run epoch, a row that every writing
//! transaction locks and compares, makes sure that a run which lost that right without noticing commits nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use crossfade_model::reverse_lane;
use crossfade_store::{Applier, ErrorKind, Loader, Result, TargetState, Tenure};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::MysqlStore;
use crate::apply::MysqlApplier;
use crate::connect::Client;
use crate::enlisted;
use crate::fence::blockers;
use crate::load::MysqlLoader;
use crate::names::literal;
use crate::own;
use crate::session::Purpose;
use crate::strangers;
use crate::writer::Writer;

/// How long a run that has just died may still seem alive: the server notices a closed socket within milliseconds.
const ALIVE_PATIENCE: Duration = Duration::from_secs(3);

/// How long a run that stands still may take to be ended.
const ENDING_PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(50);

/// How long whoever holds the epoch's row may take before he is taken for one who stands still.
const ROW_PATIENCE: Duration = Duration::from_secs(3);

/// The lock's name; the server has one name space for all databases, and 64 characters.
pub(crate) fn lock_name(database: &str, migration: &str) -> String {
    let digest = Sha256::digest(format!("{database}\0{migration}"));
    format!("crossfade.{}", crossfade_model::hex::encode(&digest[..16]))
}

/// Takes the right to write; see [`crossfade_store::Target::acquire`].
pub(crate) async fn acquire(store: &MysqlStore, migration: &str) -> Result<MysqlTenure> {
    let mut client = store.connect(Purpose::Tenure).await?;
    let lock = lock_name(&store.address.database, migration);
    take_lock(&mut client, &lock, migration).await?;
    own::create(&mut client).await?;
    strangers::create(&mut client, migration).await?;
    let state = raised(store, &mut client, &lock, migration).await?;
    Ok(MysqlTenure {
        store: store.clone(),
        migration: migration.to_owned(),
        lock,
        state,
        client: Mutex::new(client),
    })
}

/// Raises the epoch. Whoever holds its row now had the right to write before, and stands still in the middle of a transaction: that is
/// ended, as it could not commit any more.
async fn raised(
    store: &MysqlStore,
    client: &mut Client,
    lock: &str,
    migration: &str,
) -> Result<TargetState> {
    let raise = own::raise_epoch(client, migration);
    tokio::pin!(raise);
    loop {
        tokio::select! {
            raised = &mut raise => return raised,
            () = tokio::time::sleep(ROW_PATIENCE) => {
                // who may not end them goes on waiting, as long as the server lets it
                if let Err(error) = end_writers(store, lock).await {
                    tracing::info!(%error, "transactions that were left open cannot be ended");
                }
            }
        }
    }
}

async fn end_writers(store: &MysqlStore, lock: &str) -> Result<()> {
    let mut client = store.connect(Purpose::Check).await?;
    enlisted::end(&mut client, lock).await?;
    client.close().await;
    Ok(())
}

async fn take_lock(client: &mut Client, lock: &str, migration: &str) -> Result<()> {
    let doing = "taking the right to write";
    let name = literal(lock);
    let begun = Instant::now();
    loop {
        let taken = client
            .text_row(doing, &format!("SELECT GET_LOCK({name}, 0)"))
            .await?;
        if taken.is_some_and(|row| row.is_true(0)) {
            return Ok(());
        }
        if begun.elapsed() > ALIVE_PATIENCE {
            let holder = client
                .text_row(doing, &format!("SELECT IS_USED_LOCK({name})"))
                .await?
                .and_then(|row| row.get(0).map(|id| format!(" (connection {id})")))
                .unwrap_or_default();
            return Err(client
                .fault(
                    ErrorKind::AlreadyRunning,
                    "mysql.already_running",
                    format!("another run of migration {migration} holds the target{holder}"),
                )
                .fix("Let it go on, or end that process first"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes the right to write from whoever has it; see [`crossfade_store::Target::end_tenure`]. His transactions hold the epoch's row, so they are
/// ended where they do not end by themselves.
pub(crate) async fn end(store: &MysqlStore, migration: &str) -> Result<Option<String>> {
    let doing = "taking the target over";
    let mut client = store.connect(Purpose::Tenure).await?;
    if !own::exists(&mut client).await? {
        client.close().await;
        return Ok(None);
    }
    let begun = Instant::now();
    client
        .run(doing, "SET SESSION innodb_lock_wait_timeout = 1")
        .await?;
    // before his lock is taken from him: what he commits from here on is refused
    let raise = format!(
        "UPDATE {} SET epoch = epoch + 1 WHERE migration = {}",
        own::RUN,
        literal(migration)
    );
    let lock = lock_name(&store.address.database, migration);
    let mut ended = None;
    loop {
        match client.run(doing, &raise).await {
            Ok(_) => break,
            Err(e) if e.kind == ErrorKind::Busy && begun.elapsed() < ENDING_PATIENCE => {
                enlisted::end(&mut client, &lock).await?;
                ended = end_holder(&mut client, &lock).await?.or(ended);
            }
            Err(e) => return Err(e),
        }
    }
    while let Some(holder) = end_holder(&mut client, &lock).await? {
        if begun.elapsed() > ENDING_PATIENCE {
            return Err(client
                .fault(
                    ErrorKind::Unavailable,
                    "mysql.holder_stays",
                    format!("the connection that holds the target does not end: {holder}"),
                )
                .fix(format!("KILL {holder}")));
        }
        ended = Some(holder);
        tokio::time::sleep(PAUSE).await;
    }
    let ended = ended.map(|id| format!("connection {id}"));
    client.close().await;
    Ok(ended)
}

/// Ends the session that holds the right to write; gives its number.
async fn end_holder(client: &mut Client, lock: &str) -> Result<Option<u64>> {
    let asked = format!("SELECT IS_USED_LOCK({})", literal(lock));
    let row = client.text_row("taking the target over", &asked).await?;
    let holder = row.and_then(|row| row.number(0));
    if let Some(id) = holder {
        blockers::kill(client, id).await?;
    }
    Ok(holder)
}

/// Ends the sessions that write for either lane of a migration, with what they have not committed.
///
/// # Errors
/// The connection's; a session that this user may not end.
pub(crate) async fn end_writers_of_lanes(
    store: &MysqlStore,
    client: &mut Client,
    migration: &str,
) -> Result<()> {
    for lane in [migration, &reverse_lane(migration)] {
        enlisted::end(client, &lock_name(&store.address.database, lane)).await?;
    }
    Ok(())
}

/// The right to write, while its session lives.
pub(crate) struct MysqlTenure {
    store: MysqlStore,
    migration: String,
    lock: String,
    state: TargetState,
    client: Mutex<Client>,
}

impl MysqlTenure {
    async fn writer(&self, purpose: Purpose) -> Result<Writer> {
        let mut client = self.store.connect(purpose).await?;
        enlisted::enlist(&mut client, &self.lock).await?;
        Writer::new(
            client,
            &self.migration,
            self.state.epoch,
            Arc::clone(&self.store.turns),
        )
        .await
    }
}

impl Drop for MysqlTenure {
    fn drop(&mut self) {
        self.store.watched.stop();
    }
}

#[async_trait]
impl Tenure for MysqlTenure {
    fn state(&self) -> &TargetState {
        &self.state
    }

    async fn check(&self) -> Result<()> {
        let mut client = self.client.lock().await;
        let row = client
            .text_row(
                "checking the right to write",
                &format!(
                    "SELECT (SELECT epoch FROM {} WHERE migration = {}), IS_USED_LOCK({}) <=> CONNECTION_ID()",
                    own::RUN,
                    literal(&self.migration),
                    literal(&self.lock)
                ),
            )
            .await?;
        let held = row.as_ref().is_some_and(|row| row.is_true(1));
        own::may_write(&client, self.state.epoch, row.and_then(|row| row.number(0)))?;
        if held {
            return Ok(());
        }
        Err(client.fault(
            ErrorKind::Fenced,
            "mysql.fenced",
            "this run's lock on the target was given up",
        ))
    }

    async fn open_applier(&self) -> Result<Box<dyn Applier>> {
        Ok(Box::new(MysqlApplier(self.writer(Purpose::Apply).await?)))
    }

    async fn open_loader(&self) -> Result<Box<dyn Loader>> {
        Ok(Box::new(MysqlLoader::new(
            self.writer(Purpose::Load).await?,
        )))
    }
}
