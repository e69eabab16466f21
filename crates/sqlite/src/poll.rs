//! Polls of a change table: the keys logged since the last position, and their rows, in one read transaction.
//!
//! A poll is one transaction of the stream. Rows are read as they are at its end, so its end is the only position at which
//! the target may stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossfade_model::{
    Cell, Change, Position, Row, StreamEvent, TableId, TableMapping, Transaction, TransactionId,
};
use crossfade_store::{CaptureSpec, ErrorKind, Result};
use rusqlite::{Connection, Statement};
use tokio::sync::mpsc;

use crate::blocks::{CellReader, bind};
use crate::capture::check::{self, set_back, triggers_lost};
use crate::capture::names::change_table;
use crate::capture::state::{self, Captured, Shape, log_lost};
use crate::capture::trim::Trimmer;
use crate::conn::{PATIENCE, Place, Purpose};
use crate::key_sql;
use crate::sink::{Ended, Sent, Sink};
use crate::snapshot::select_by_key;
use crate::sql::names::quote;
use crate::table_info;

/// Pause between polls while changes come.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// Pause between polls of an idle file.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How often the file under the path is looked at.
const FILE_CHECK: Duration = Duration::from_secs(1);

/// What a look at the file brought.
#[derive(PartialEq, Eq)]
enum Looked {
    Nothing,
    Changes,
    /// The stream said that a table changed: nothing follows.
    Over,
}

struct PolledTable {
    id: TableId,
    name: String,
    select: String,
    columns: usize,
    /// Places of the key's columns among the captured ones.
    key: Vec<usize>,
}

/// The polling of one migration.
pub(crate) struct Poller {
    place: Place,
    connection: Connection,
    changes_sql: String,
    migration: String,
    tables: HashMap<u32, PolledTable>,
    captured: Vec<Captured>,
    position: u64,
    data_version: Option<i64>,
    schema_version: Option<i64>,
    inode: Option<u64>,
    file_checked: Instant,
    trimmer: Trimmer,
    confirmed: Arc<AtomicU64>,
    events: mpsc::Sender<Sent>,
}

impl Poller {
    /// Opens the file and checks that everything after `from` is there.
    pub fn open(
        place: &Place,
        spec: &CaptureSpec,
        from: Position,
        confirmed: Arc<AtomicU64>,
        events: mpsc::Sender<Sent>,
    ) -> Result<Poller> {
        let connection = place.open(Purpose::Write)?;
        let failed = place.failed("cannot open the change stream");
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(&failed)?;
        let inode = place.inode();
        let state = check::open(place, &connection, spec, from.0)?;
        let mut tables = HashMap::new();
        for mapping in &spec.tables {
            if let Some(table) =
                polled(&connection, mapping).map_err(|e| failed(e).table(&mapping.source.name))?
            {
                tables.insert(mapping.id.0, table);
            }
        }
        Ok(Poller {
            changes_sql: changes_sql(&spec.migration, &tables),
            trimmer: Trimmer::new(&spec.migration, state.trimmed),
            place: place.clone(),
            connection,
            migration: spec.migration.clone(),
            tables,
            captured: state.tables,
            position: from.0,
            data_version: None,
            schema_version: None,
            inode,
            file_checked: Instant::now(),
            confirmed,
            events,
        })
    }

    /// Polls until nobody listens or an error was sent.
    pub fn run(mut self) {
        let mut pause = SHORTEST_PAUSE;
        let mut over = false;
        while !self.events.is_closed() {
            let looked = if over { Ok(Looked::Over) } else { self.look() };
            match looked {
                Ok(Looked::Changes) => pause = SHORTEST_PAUSE,
                Ok(Looked::Nothing) => pause = (pause * 3 / 2).min(LONGEST_PAUSE),
                Ok(Looked::Over) => {
                    over = true;
                    pause = LONGEST_PAUSE;
                }
                Err(Ended::Closed) => return,
                Err(Ended::Failed(error)) => {
                    // nobody listens any more: nothing to tell
                    let _ = self.events.blocking_send(Err(error));
                    return;
                }
            }
            let confirmed = self.confirmed.load(Ordering::Acquire).min(self.position);
            if let Err(e) = self.trimmer.step(&mut self.connection, confirmed, PATIENCE) {
                let error = self.place.failed("cannot trim the change table")(e);
                let _ = self.events.blocking_send(Err(Box::new(error)));
                return;
            }
            std::thread::sleep(pause);
        }
    }

    fn look(&mut self) -> std::result::Result<Looked, Ended> {
        self.check_file()?;
        let place = self.place.clone();
        let failed = place.failed("cannot poll the change table");
        let version: i64 = self
            .connection
            .query_row("PRAGMA data_version", [], |r| r.get(0))
            .map_err(&failed)?;
        if self.data_version == Some(version) {
            return Ok(Looked::Nothing);
        }
        self.connection.execute_batch("BEGIN").map_err(&failed)?;
        let looked = self.look_in_transaction();
        // a read transaction: how it ends does not matter
        let ended = self.connection.execute_batch("ROLLBACK").map_err(&failed);
        let (looked, mut sink) = looked?;
        ended?;
        self.data_version = Some(version);
        if let Looked::Changes = looked {
            // what the target will hold must not be taken back by a loss of power
            self.place.sync_log()?;
            sink.push(StreamEvent::Commit {
                end: Position(self.position),
            })?;
        }
        sink.finish()?;
        Ok(looked)
    }

    fn look_in_transaction(&mut self) -> std::result::Result<(Looked, Sink), Ended> {
        let place = self.place.clone();
        let failed = place.failed("cannot poll the change table");
        let mut sink = Sink::new(self.events.clone());
        if let Some((table, what)) = self.check_schema()? {
            sink.push(StreamEvent::SchemaChanged {
                table,
                what,
                moved: Vec::new(),
            })?;
            return Ok((Looked::Over, sink));
        }
        let last = state::last_sequence(&self.connection, &self.migration).map_err(&failed)?;
        let last = last.ok_or_else(|| log_lost(&self.place, "the change table was emptied"))?;
        if last < self.position {
            return Err(set_back(&self.place).into());
        }
        if last == self.position {
            return Ok((Looked::Nothing, sink));
        }
        self.read_changes(last, &mut sink)?;
        self.position = last;
        Ok((Looked::Changes, sink))
    }

    /// A file that was put in the place of this one is not seen through an open connection.
    fn check_file(&mut self) -> Result<()> {
        if self.file_checked.elapsed() < FILE_CHECK {
            return Ok(());
        }
        self.file_checked = Instant::now();
        if self.place.inode() != self.inode {
            return Err(self
                .place
                .error(
                    ErrorKind::WrongStore,
                    "sqlite.file_replaced",
                    "the database file was replaced by another one, or removed",
                )
                .fix("Put the file back, or abort the migration and begin it again"));
        }
        Ok(())
    }

    /// What differs in a captured table, if anything does. Cheap while the schema's version stays.
    fn check_schema(&mut self) -> Result<Option<(TableId, String)>> {
        let place = self.place.clone();
        let failed = place.failed("cannot check the captured tables");
        let version: i64 = self
            .connection
            .query_row("PRAGMA schema_version", [], |r| r.get(0))
            .map_err(&failed)?;
        if self.schema_version == Some(version) {
            return Ok(None);
        }
        // the change table itself may be gone
        state::read(&self.connection, &self.place, &self.migration)?;
        match state::check_shape(&self.connection, &self.captured).map_err(&failed)? {
            Shape::Same => {
                self.schema_version = Some(version);
                Ok(None)
            }
            Shape::Table(table, what) => Ok(Some((table, what))),
            Shape::Triggers(names) => Err(triggers_lost(&self.place, &names)),
            Shape::Unlogged(table, what) => Err(log_lost(&self.place, what).table(table)),
        }
    }

    fn read_changes(&self, last: u64, sink: &mut Sink) -> std::result::Result<(), Ended> {
        let failed = self.place.failed("cannot read the changed rows");
        sink.push(StreamEvent::Begin(Transaction {
            id: TransactionId(last),
            committed_at: now_micros(),
        }))?;
        let mut statement = self
            .connection
            .prepare_cached(&self.changes_sql)
            .map_err(&failed)?;
        let mut changes = statement.query([self.position, last]).map_err(&failed)?;
        let mut reader = CellReader::default();
        let mut current: Option<(&PolledTable, Statement<'_>)> = None;
        while let Some(change) = changes.next().map_err(&failed)? {
            let number: i64 = change.get(0).map_err(&failed)?;
            let table = u32::try_from(number).ok().and_then(|n| self.tables.get(&n));
            let Some(table) = table else { continue };
            if current.as_ref().is_none_or(|(now, _)| now.id != table.id) {
                let select = self.connection.prepare(&table.select).map_err(&failed)?;
                current = Some((table, select));
            }
            let Some((_, select)) = current.as_mut() else {
                continue;
            };
            let key = reader
                .row_from(change, 1, table.key.len())
                .map_err(&failed)?;
            let event =
                image(table, select, &mut reader, key).map_err(|e| failed(e).table(&table.name))?;
            sink.push(StreamEvent::Change(event))?;
        }
        Ok(())
    }
}

/// The row of a logged key as it is in this transaction, or its delete.
fn image(
    table: &PolledTable,
    select: &mut Statement<'_>,
    reader: &mut CellReader,
    key: Row,
) -> rusqlite::Result<Change> {
    bind(select, 1, &key.0)?;
    let mut rows = select.raw_query();
    if let Some(row) = rows.next()? {
        return Ok(Change::Upsert {
            table: table.id,
            row: reader.row(row, table.columns)?,
        });
    }
    let mut before = Row(vec![Cell::Null; table.columns]);
    for (at, cell) in table.key.iter().zip(key.0) {
        if let Some(place) = before.0.get_mut(*at) {
            *place = cell;
        }
    }
    Ok(Change::Delete {
        table: table.id,
        before,
    })
}

/// Distinct keys of a range of the log, by table: one sort, in temporary files where it is big.
fn changes_sql(migration: &str, tables: &HashMap<u32, PolledTable>) -> String {
    let width = tables.values().map(|t| t.key.len()).max().unwrap_or(1);
    let columns: Vec<String> = std::iter::once("tbl".to_owned())
        .chain((1..=width).map(|n| format!("k{n}")))
        .collect();
    let columns = columns.join(", ");
    format!(
        "SELECT {columns} FROM {} WHERE seq > ?1 AND seq <= ?2 GROUP BY {columns} ORDER BY {columns}",
        quote(&change_table(migration))
    )
}

fn polled(
    connection: &Connection,
    mapping: &TableMapping,
) -> rusqlite::Result<Option<PolledTable>> {
    let Some(info) = table_info::read(connection, &mapping.source.name.name)? else {
        return Ok(None);
    };
    let (Some(key), Some(places)) = (info.key(), mapping.source.key.as_ref()) else {
        return Ok(None);
    };
    let key = key_sql::key_columns(&info, &key);
    Ok(Some(PolledTable {
        id: mapping.id,
        name: info.name.clone(),
        select: select_by_key(mapping, &key),
        columns: mapping.columns.len(),
        key: places.columns.clone(),
    }))
}

fn now_micros() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|d| i64::try_from(d.as_micros()).ok())
        .unwrap_or(0)
}
