//! Whose log is followed, and what of it was applied, by the names of transactions: what lets a promoted replica go on where the server
//! before it ended.
//!
//! Positions are places in one server's log. With each checkpoint a [`Mark`] is kept: all transactions at or before it, and when its file
//! was begun. A log that was begun anew knows other transactions, or its file is another one ([`same`]). A server that took the other's place
//! is followed from the place in its own log before which exactly those transactions lie ([`successor`]); its positions get a
//! higher succession, so that they lie behind all that were read before.

mod applied;
mod ledger;
mod same;
mod successor;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossfade_model::Position;
use crossfade_mysql_binlog::{End, LogPosition};
use crossfade_store::{ErrorKind, Kept, Result, Successor};
use serde::{Deserialize, Serialize};

use crate::MysqlStore;
use crate::cleared::Cleared;
use crate::connect::Client;
use crate::server::{Flavor, Server};
use crate::session::Purpose;
use applied::{Applied, Executed};
use ledger::Ledger;

/// What is kept with a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The transactions at or before it, as the servers write them; `None` while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    applied: Option<String>,
    /// When its log file was begun, in seconds since the Unix epoch by the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<u32>,
}

/// Whose log is followed now.
#[derive(Debug, Default)]
struct Line {
    succession: u32,
    /// Who must answer where positions are read; `None` before that is known.
    server: Option<String>,
    ledger: Ledger,
    /// How far its present file was looked through.
    cleared: Cleared,
}

/// Shared by all sessions of a store.
#[derive(Debug, Default)]
pub(crate) struct Lineage(Mutex<Line>);

impl Lineage {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server whose positions are read, counted from the first that was followed.
    pub fn succession(&self) -> u32 {
        self.line().succession
    }

    /// What a session needs to read positions.
    pub fn positions(&self) -> (u32, Cleared) {
        let line = self.line();
        (line.succession, line.cleared.clone())
    }

    /// From now on this server alone is followed.
    fn follow(&self, server: &Server, succession: u32, ledger: Ledger) {
        *self.line() = Line {
            succession,
            server: Some(who(server)),
            ledger,
            cleared: Cleared::default(),
        };
    }

    /// A transaction of the open stream, or idle time, ended.
    pub fn note(&self, position: Position, end: &End, is_transaction: bool) {
        let mut line = self.line();
        match &end.gtid {
            Some(gtid) => line.ledger.note(position, gtid.clone()),
            None if is_transaction => line.ledger.forget(),
            None => {}
        }
    }

    /// The log file that is read now.
    pub fn note_file(&self, file: u64, begun: u32) {
        self.line().ledger.note_file(file, begun);
    }

    /// See [`crossfade_store::Source::mark`].
    pub fn mark(&self, at: Position) -> Option<String> {
        serde_json::to_string(&self.line().ledger.mark(at)).ok()
    }
}

/// The name of a server. MariaDB has none of its own before 11.7: what the server is told at its start must do.
pub(crate) fn who(server: &Server) -> String {
    let value = |name: &str| server.variable(name).unwrap_or_default().to_owned();
    match server.flavor {
        Flavor::Mysql => format!("uuid {}", value("server_uuid")),
        Flavor::Mariadb => format!(
            "server {} {}:{} {}",
            value("server_id"),
            value("hostname"),
            value("port"),
            value("datadir")
        ),
    }
}

/// A session whose positions are those of the followed server.
///
/// # Errors
/// The connection's; [`ErrorKind::Connection`] where another server answers: whoever begins again finds out what it is.
pub(crate) async fn connect(store: &MysqlStore, purpose: Purpose) -> Result<Client> {
    let client = store.connect(purpose).await?;
    let followed = store.lineage.line().server.clone();
    if followed.is_some_and(|followed| followed != who(&client.server)) {
        return Err(client.fault(
            ErrorKind::Connection,
            "mysql.other_server",
            "another server answers under this address than the one whose log is followed",
        ));
    }
    Ok(client)
}

/// Says whom the store follows from a capture's first position on, and keeps what is known of it.
///
/// # Errors
/// The server's.
pub(crate) async fn begin(store: &MysqlStore, client: &mut Client, at: Position) -> Result<()> {
    // whoever has all before `at` in its set, and nothing behind it in its log, has exactly that
    let executed = Executed::read(client).await?;
    let end = crate::position::log_end(client).await?;
    let mut ledger = match (end == at).then(|| executed.applied()).flatten() {
        Some(applied) => Ledger::at(applied, at),
        None => Ledger::default(),
    };
    let file = LogPosition::unpack(at).file;
    if let Some(begun) = crate::stream::file_begun(store, client, file).await? {
        ledger.note_file(file, begun);
    }
    let server = std::sync::Arc::clone(&client.server);
    store
        .lineage
        .follow(&server, LogPosition::succession(at), ledger);
    Ok(())
}

/// How often a log's end is asked for that is an end still when the server's transactions are.
const LOOKS: u32 = 5;

/// The log's end, and what is to be kept with a checkpoint there; without the transactions' names where others write all the time.
///
/// # Errors
/// The server's.
pub(crate) async fn marked_end(
    store: &MysqlStore,
    client: &mut Client,
) -> Result<(Position, Option<String>)> {
    let mut looks = 0;
    let (end, applied) = loop {
        looks += 1;
        let end = crate::position::visible_end(client).await?;
        let executed = Executed::read(client).await?;
        if crate::position::log_end(client).await? == end {
            break (end, executed.applied());
        }
        if looks == LOOKS {
            break (end, None);
        }
    };
    let file = LogPosition::unpack(end).file;
    let mark = Mark {
        applied: applied.as_ref().map(Applied::text),
        begun: crate::stream::file_begun(store, client, file).await?,
    };
    Ok((end, serde_json::to_string(&mark).ok()))
}

/// Before a stream opens at `from`: what is not known yet of the transactions before it is asked of the server. What it names then is known from
/// the log's present end on.
///
/// # Errors
/// The server's.
pub(crate) async fn complete(
    store: &MysqlStore,
    client: &mut Client,
    from: Position,
) -> Result<()> {
    if store.lineage.line().ledger.knows(from) {
        return Ok(());
    }
    // only what readers see is in the server's set for certain
    crate::position::visible_end(client).await?;
    let Some(applied) = Executed::read(client).await?.applied() else {
        return Ok(());
    };
    let end = crate::position::log_end(client).await?;
    store.lineage.line().ledger.know(applied, end.max(from));
    Ok(())
}

/// See [`crossfade_store::Source::resume`].
///
/// # Errors
/// Where going on would lose changes, or apply some twice.
pub(crate) async fn resume(store: &MysqlStore, kept: &Kept) -> Result<Option<Successor>> {
    let mut client = store.connect(Purpose::Check).await?;
    let mark: Mark = kept
        .mark
        .as_deref()
        .and_then(|mark| serde_json::from_str(mark).ok())
        .unwrap_or_default();
    let applied =
        (mark.applied.as_deref()).and_then(|text| Applied::parse(client.server.flavor, text));
    let succession = LogPosition::succession(kept.checkpoint);
    let identity = store.identity_of(&client.server);
    if identity.identity != kept.identity {
        let found = successor::find(store, &mut client, kept, applied).await;
        client.close().await;
        return found;
    }
    if let Some(applied) = &applied {
        same::knows_all(&mut client, applied).await?;
    }
    let mut ledger = applied.map_or_else(Ledger::default, |applied| {
        Ledger::at(applied, kept.checkpoint)
    });
    let file = LogPosition::unpack(kept.checkpoint).file;
    if let Some(begun) = mark.begun {
        ledger.note_file(file, begun);
    }
    let server = std::sync::Arc::clone(&client.server);
    store.lineage.follow(&server, succession, ledger);
    if mark.begun.is_some() {
        // before a stream begins at a place that is none in another file
        let begun = crate::stream::file_begun(store, &client, file).await?;
        check_files(
            store,
            &begun
                .map(|begun| (file, begun))
                .into_iter()
                .collect::<Vec<_>>(),
        )?;
    }
    client.close().await;
    Ok(None)
}

/// All that a snapshot which was just opened may see; `None` where not all transactions have names.
///
/// # Errors
/// The server's.
pub(crate) async fn seen(client: &mut Client) -> Result<Option<String>> {
    let logged = Executed::read_logged(client).await?;
    Ok(logged.applied().map(|applied| applied.text()))
}

/// The files with which a stream begins must be those that were read before under their names.
///
/// # Errors
/// [`ErrorKind::LogLost`] where one was begun at another time.
pub(crate) fn check_files(store: &MysqlStore, files: &[(u64, u32)]) -> Result<()> {
    let mut line = store.lineage.line();
    for (file, begun) in files {
        if line
            .ledger
            .begun(*file)
            .is_some_and(|known| known != *begun)
        {
            let what = "a log file is another one than that which was read under its name";
            let what = format!("{what} (number {file})");
            return Err(same::begun_anew(&store.label, what));
        }
        line.ledger.note_file(*file, *begun);
    }
    Ok(())
}
