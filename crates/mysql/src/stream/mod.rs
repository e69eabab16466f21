//! The change stream: the server's binary log, read as a replica does.
//!
//! - `place`: how the log is reached: address, encryption, the first file.
//! - `image`: rows of the log as rows of the mapped tables, in the form in which snapshots read them (`charset` for texts).
//! - `statement`: what a statement in the log does to the mapped tables (`tokens` for its signs, `alter` for what an `ALTER TABLE` says).
//! - `fate`: big transactions of which a part, or all, did not happen.
//! - `events`: what the log brings, in the engine's words.
//! - `others`: what others than the migration have written to a target's tables.
//!
//! Nothing is kept on the source: the server keeps its log as its own settings say, and a log that is gone stops the stream.

mod alter;
mod charset;
mod events;
pub(crate) mod fate;
mod image;
pub(crate) mod others;
mod place;
mod statement;
#[cfg(test)]
mod testing;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crossfade_model::{Position, StreamEvent};
use crossfade_mysql_binlog::{
    BinlogStream, Interest, Item, LogPosition, Start, StreamOptions, replica_id,
};
use crossfade_store::{CaptureSpec, ChangeStream, ErrorKind, Result, StoreError};

use crate::connect::Client;
use crate::lineage::Lineage;
use crate::server::Server;
use crate::session::Purpose;
use crate::{MysqlStore, lineage, position};
use charset::Charsets;
use events::Events;
use image::Tables;

/// Whether texts of a character set can be read from the log.
///
/// # Errors
/// The server's.
pub(crate) async fn reads(client: &mut Client, character_set: &str) -> Result<bool> {
    Ok(charset::charset(client, character_set).await?.is_some())
}

/// Changes of a transaction that are held until its end was read, in bytes. A bigger one comes in pieces.
const HOLD_BYTES: usize = 4 << 20;

/// How long `next` waits once the stream has ended at an altered table.
const ENDED: Duration = Duration::from_millis(500);

/// A stream of one migration.
pub(crate) struct MysqlStream {
    stream: BinlogStream,
    events: Events,
    lineage: Arc<Lineage>,
    label: Arc<str>,
    failed: Failed,
}

/// What stopped the stream.
enum Failed {
    No,
    /// To be told at the next call: events came before it.
    Next(Box<StoreError>),
    Told,
}

/// Opens the stream after `from`.
pub(crate) async fn open(
    store: &MysqlStore,
    spec: &CaptureSpec,
    from: Position,
) -> Result<MysqlStream> {
    let mut client = lineage::connect(store, Purpose::Check).await?;
    let charsets = Charsets::read(&mut client, spec).await?;
    let start = place::start(&mut client, from).await?;
    lineage::complete(store, &mut client, from).await?;
    let server = Arc::clone(&client.server);
    client.close().await;
    let tables = Tables::new(store, &server, spec, charsets);
    let wanted = tables.wanted();
    let options = StreamOptions {
        replica: replica_id(),
        wanted: Box::new(move |database, table| {
            wanted(database, table).map_or(Interest::Nothing, Interest::Columns)
        }),
        hold_bytes: HOLD_BYTES,
        server: Some(place::identity(&server)),
    };
    let mut stream = connect(store, &start, options).await?;
    lineage::check_files(store, &stream.files())?;
    let mut events = Events::new(
        tables,
        Arc::clone(&store.fates),
        Arc::clone(&store.lineage),
        Arc::clone(&store.label),
    );
    if let Some(replanned) = spec.replanned.filter(|r| r.checkpoint == from) {
        events.pass_one(replanned);
    }
    Ok(MysqlStream {
        stream,
        events,
        lineage: Arc::clone(&store.lineage),
        label: Arc::clone(&store.label),
        failed: Failed::No,
    })
}

async fn connect(
    store: &MysqlStore,
    start: &Start,
    options: StreamOptions,
) -> Result<BinlogStream> {
    BinlogStream::open(
        &place::address(store),
        &place::credentials(store),
        &place::encryption(store)?,
        start,
        options,
    )
    .await
    .map_err(|e| e.into_store(&store.label))
}

/// Opens a stream whose transactions are told and whose rows are not read.
pub(crate) async fn open_unread(
    store: &MysqlStore,
    server: &Server,
    start: &Start,
) -> Result<BinlogStream> {
    let options = StreamOptions {
        replica: replica_id(),
        wanted: Box::new(|_, _| Interest::Nothing),
        hold_bytes: HOLD_BYTES,
        server: Some(place::identity(server)),
    };
    connect(store, start, options).await
}

/// When a log file was begun, in seconds since the Unix epoch by the server's clock; `None` where that cannot be asked.
pub(crate) async fn file_begun(
    store: &MysqlStore,
    client: &Client,
    file: u64,
) -> Result<Option<u32>> {
    let Some(base) = position::base(&client.server) else {
        return Ok(None);
    };
    let start = Start::Place {
        base: base.to_owned(),
        position: LogPosition { file, offset: 4 },
    };
    let mut stream = open_unread(store, &client.server, &start).await?;
    let of_file = |(number, begun)| (number == file).then_some(begun);
    Ok(stream.files().into_iter().find_map(of_file))
}

impl MysqlStream {
    /// Items as events, up to the first that stops the stream.
    fn turn(&mut self, items: Vec<Item>) -> Vec<StreamEvent> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            if let Err(error) = self.events.take(item, &mut out) {
                self.failed = Failed::Next(Box::new(error));
                break;
            }
        }
        out
    }

    fn failure(&mut self) -> Option<StoreError> {
        match std::mem::replace(&mut self.failed, Failed::Told) {
            Failed::No => {
                self.failed = Failed::No;
                None
            }
            Failed::Next(error) => Some(*error),
            Failed::Told => Some(StoreError::new(
                ErrorKind::Internal,
                "mysql.stream",
                &*self.label,
                "a stream that had failed was read on",
            )),
        }
    }
}

#[async_trait]
impl ChangeStream for MysqlStream {
    async fn next(&mut self) -> Result<Vec<StreamEvent>> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        if self.events.ended() {
            tokio::time::sleep(ENDED).await;
            return Ok(Vec::new());
        }
        let items = self
            .stream
            .next()
            .await
            .map_err(|e| e.into_store(&self.label))?;
        for (file, begun) in self.stream.files() {
            self.lineage.note_file(file, begun);
        }
        let out = self.turn(items);
        if out.is_empty()
            && let Some(error) = self.failure()
        {
            return Err(error);
        }
        Ok(out)
    }

    /// The server keeps its log however far it was read.
    async fn confirm(&mut self, _checkpoint: Position) -> Result<()> {
        Ok(())
    }
}
