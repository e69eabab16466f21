//! What others have written to tables that a migration fills: transactions of the target's own log that do not bear its mark.
//!
//! Every transaction of the migration's writers changes a row of crossfade's own that names it: the checkpoint, or a mark where the checkpoint
//! stays ([`crate::strangers`]). A transaction without one is somebody else's, whatever its session said or did to the guards: a trigger that was
//! off, a cascade as far as the server logs it, a replica's applier. Definitions that move rows without naming them are told too.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use crossfade_model::{Cell, Row, TableId, TableKey, TableMapping, TableName};
use crossfade_mysql_binlog::{
    Begin, BinlogStream, Change, Definition, Interest, Item, LogPosition, RowChange, StreamOptions,
    replica_id,
};
use crossfade_store::{CaptureSpec, ErrorKind, Result, StoreError, Written};
use tokio::time::Instant;

use super::charset::Charsets;
use super::image::Tables;
use super::statement::{self, Moved};
use super::{connect, place};
use crate::connect::Client;
use crate::plan::columns_of;
use crate::{MysqlStore, lineage, own, strangers};

/// Changes of a transaction that are held until its end was read, in bytes.
const HOLD_BYTES: usize = 1 << 20;

/// Writes of one transaction that are kept one by one; of the others only their tables.
const MOST_OF_ONE: usize = 1_000;

/// Writes that are read ahead of what is asked for.
const MOST_READ: usize = 10_000;

/// A place in the log of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogPlace {
    /// Who writes the log.
    pub server: String,
    pub position: LogPosition,
    /// When the file was begun, in seconds since the Unix epoch: another one of its name is another file.
    pub begun: u32,
}

/// A write of somebody else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    pub table: TableName,
    pub operation: Written,
    /// The key's cells, in key order.
    pub key: Option<Vec<Cell>>,
    /// In milliseconds since the Unix epoch, by the server's clock.
    pub at: i64,
    pub who: String,
}

/// The log of a target, read for what others write.
pub(crate) struct Others {
    stream: BinlogStream,
    server: String,
    /// The files that are read, and when each was begun.
    begun: HashMap<u64, u32>,
    tables: Tables,
    names: HashMap<TableId, TableName>,
    migration: String,
    label: Arc<str>,
    open: Option<Open>,
    /// Whole transactions that were not handed over, by their ends.
    done: Vec<(LogPosition, Vec<Write>)>,
    /// Up to here nothing is left unread.
    passed: LogPosition,
}

/// A transaction whose end was not read.
struct Open {
    at: i64,
    who: String,
    /// Changes so far, the mark's too.
    count: u64,
    /// The change that is the migration's mark.
    marked: Option<u64>,
    found: Vec<(u64, Write)>,
    /// Tables with more than was kept.
    more: BTreeSet<TableId>,
}

/// The mapped tables with nothing but their keys, as the server has them.
async fn keys(client: &mut Client, tables: &[TableMapping]) -> Result<Vec<TableMapping>> {
    let mut out = Vec::with_capacity(tables.len());
    for mapping in tables {
        let found = columns_of(client, &mapping.target.name).await?;
        let places = mapping.source.key_places();
        let mut keyed = mapping.clone();
        keyed.source = mapping.target.clone();
        keyed.columns = places
            .iter()
            .filter_map(|&place| mapping.columns.get(place).cloned())
            .collect();
        keyed.source.columns = keyed
            .columns
            .iter()
            .filter_map(|key| {
                let is = found.iter().find(|column| column.name == key.target)?;
                let planned = mapping.target.columns.iter();
                let mut column = planned.clone().find(|c| c.name == key.target)?.clone();
                column.declared.clone_from(&is.declared);
                column.generated = None;
                Some(column)
            })
            .collect();
        if keyed.source.columns.len() != keyed.columns.len() {
            return Err(client
                .fault(
                    ErrorKind::SchemaMismatch,
                    "mysql.target_key",
                    "the table has not the planned key's columns",
                )
                .table(&mapping.target.name));
        }
        keyed.source.key = mapping.source.key.as_ref().map(|key| TableKey {
            columns: (0..keyed.columns.len()).collect(),
            ..key.clone()
        });
        out.push(keyed);
    }
    Ok(out)
}

impl Others {
    /// Opens the log at a place, or at the present end.
    ///
    /// # Errors
    /// The connection's; [`ErrorKind::LogLost`] where the log has that place no more.
    pub async fn open(
        store: &MysqlStore,
        client: &mut Client,
        migration: &str,
        tables: &[TableMapping],
        from: Option<&LogPlace>,
    ) -> Result<Others> {
        let server = lineage::who(&client.server);
        if from.is_some_and(|from| from.server != server) {
            return Err(gone(
                client,
                "another server has taken the place of the one whose log was read",
            ));
        }
        let position = match from {
            Some(from) => from.position,
            None => LogPosition::unpack(crate::position::log_end(client).await?),
        };
        let packed = position.pack(0).map_err(|e| e.into_store(&store.label))?;
        let start = place::start(client, packed).await?;
        let spec = CaptureSpec {
            migration: migration.to_owned(),
            tables: keys(client, tables).await?,
            replanned: None,
        };
        let charsets = Charsets::read(client, &spec).await?;
        let mut mapped = Tables::new(store, &client.server, &spec, charsets);
        mapped.with_any_columns();
        let mut stream = connect(
            store,
            &start,
            StreamOptions {
                replica: replica_id(),
                wanted: wanted(&mapped),
                hold_bytes: HOLD_BYTES,
                server: Some(place::identity(&client.server)),
            },
        )
        .await?;
        let files = stream.files();
        let known = from.map(|from| (from.position.file, from.begun));
        if files
            .iter()
            .any(|(file, begun)| known.is_some_and(|(f, b)| f == *file && b != *begun))
        {
            return Err(gone(client, "the log was begun anew"));
        }
        Ok(Others {
            stream,
            server,
            begun: files.into_iter().collect(),
            names: (spec.tables.iter())
                .map(|m| (m.id, m.source.name.clone()))
                .collect(),
            tables: mapped,
            migration: migration.to_owned(),
            label: Arc::clone(&store.label),
            open: None,
            done: Vec::new(),
            passed: position,
        })
    }

    /// Reads up to a place, for so long at most, and not far ahead of what is taken.
    ///
    /// # Errors
    /// What stops the stream: what comes behind cannot be read.
    pub async fn read(&mut self, until: LogPosition, patience: Duration) -> Result<()> {
        let limit = Instant::now() + patience;
        // opening has read ahead
        while (self.stream.position() < until || self.stream.has_items())
            && Instant::now() < limit
            && self.done.iter().map(|(_, w)| w.len()).sum::<usize>() < MOST_READ
        {
            let items = self.stream.next().await;
            self.begun.extend(self.stream.files());
            for item in items.map_err(|e| e.into_store(&self.label))? {
                self.take(item)?;
            }
        }
        Ok(())
    }

    /// The end of the last transaction up to a place that is somebody else's and was not handed over.
    pub fn last_found(&self, until: LogPosition) -> Option<LogPosition> {
        let ahead = self.done.partition_point(|(end, _)| *end <= until);
        self.done[..ahead].last().map(|(end, _)| *end)
    }

    /// What was written up to a place, and how far that is.
    pub fn up_to(&mut self, until: LogPosition) -> (Vec<Write>, LogPlace) {
        let ahead = self.done.partition_point(|(end, _)| *end <= until);
        let writes = self.done.drain(..ahead).flat_map(|(_, writes)| writes);
        let writes = writes.collect();
        let position = self.passed.min(until);
        self.begun.retain(|file, _| *file >= position.file);
        let place = LogPlace {
            server: self.server.clone(),
            position,
            begun: self.begun.get(&position.file).copied().unwrap_or_default(),
        };
        (writes, place)
    }

    fn take(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Begin(begin) => self.open = Some(self.opened(&begin)),
            Item::Change(change) => self.change(change),
            Item::Rewind { kept } => {
                if let Some(open) = &mut self.open {
                    open.rewind(kept);
                }
            }
            Item::Abort(end) => {
                self.open = None;
                self.passed = end.position;
            }
            Item::Commit(end) => {
                if let Some(open) = self.open.take() {
                    self.finish(open, end.position);
                }
                self.passed = end.position;
            }
            Item::Definition(definition) => self.define(&definition)?,
            Item::Passed(end) => self.passed = end.position,
        }
        Ok(())
    }

    fn opened(&self, begin: &Begin) -> Open {
        let name = match &begin.gtid {
            Some(gtid) => format!("transaction {gtid}"),
            None => "a transaction without a name".to_owned(),
        };
        let now = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(0))
        };
        Open {
            at: match begin.committed_at {
                0 => now(),
                micros => micros / 1000,
            },
            who: format!("{name} at {}.{}", self.stream.base(), begin.start),
            count: 0,
            marked: None,
            found: Vec::new(),
            more: BTreeSet::new(),
        }
    }

    fn change(&mut self, change: Change) {
        let Some(open) = &mut self.open else { return };
        let ordinal = open.count;
        open.count += 1;
        if open.marked.is_some() {
            return;
        }
        if is_marks(&change.table.name) {
            if names(&change.row, &self.migration) {
                open.marked = Some(ordinal);
            }
            return;
        }
        if open.found.len() >= MOST_OF_ONE {
            let table = self
                .tables
                .find(&change.table.database, &change.table.name)
                .map(|table| table.id);
            open.more.extend(table);
            return;
        }
        let (operation, rows) = match change.row {
            RowChange::Insert { row } => (Written::Insert, [None, Some(row)]),
            RowChange::Update { before, after } => (Written::Update, [Some(before), Some(after)]),
            RowChange::Delete { before } => (Written::Delete, [Some(before), None]),
        };
        let mut keys: Vec<(TableId, Option<Vec<Cell>>)> = Vec::new();
        // the new key first, and the old one where it is another
        for row in rows.into_iter().flatten().rev() {
            let found = match self.tables.read(&change.table, [row]) {
                Ok(None) => return,
                Ok(Some((table, [row]))) => (table, cells(&row)),
                // the table is not as it was planned: which row it is cannot be said
                Err((table, _)) => (table, None),
            };
            if !keys.contains(&found) {
                keys.push(found);
            }
        }
        for (table, key) in keys {
            let Some(table) = self.names.get(&table) else {
                continue;
            };
            let write = Write {
                table: table.clone(),
                operation,
                key,
                at: open.at,
                who: open.who.clone(),
            };
            open.found.push((ordinal, write));
        }
    }

    fn finish(&mut self, open: Open, end: LogPosition) {
        if open.marked.is_some() {
            return;
        }
        let more = open.more.iter().filter_map(|table| self.names.get(table));
        let more = more.map(|table| Write {
            table: table.clone(),
            operation: Written::More,
            key: None,
            at: open.at,
            who: open.who.clone(),
        });
        let writes: Vec<Write> = open
            .found
            .iter()
            .map(|(_, w)| w.clone())
            .chain(more)
            .collect();
        if !writes.is_empty() {
            self.done.push((end, writes));
        }
    }

    fn define(&mut self, definition: &Definition) -> Result<()> {
        // what a trigger has done by now is in transactions that bear the mark
        let moved = match statement::acts(definition, &self.tables) {
            true => (self.names.keys())
                .map(|table| (*table, Moved::Exchanged))
                .collect(),
            false => statement::moves(definition, &self.tables),
        };
        if !definition.is_utf8 && !statement::is_elsewhere(definition, &self.tables) {
            return Err(StoreError::new(
                ErrorKind::Unsupported,
                "mysql.definition",
                &*self.label,
                "the log holds a definition in a character set other than UTF-8: what it names cannot be read",
            ));
        }
        let own = self.opened(&definition.begin);
        let writes = moved.into_iter().filter_map(|(table, moved)| {
            Some(Write {
                table: self.names.get(&table)?.clone(),
                operation: match moved {
                    Moved::Emptied => Written::Truncate,
                    Moved::Exchanged => Written::Exchange,
                },
                key: None,
                at: own.at,
                who: own.who.clone(),
            })
        });
        let writes: Vec<Write> = writes.collect();
        match (&definition.end, &mut self.open) {
            (Some(end), _) => {
                if !writes.is_empty() {
                    self.done.push((end.position, writes));
                }
                self.passed = end.position;
            }
            (None, Some(open)) => {
                let ordinal = open.count;
                open.found.extend(writes.into_iter().map(|w| (ordinal, w)));
            }
            (None, None) => {}
        }
        Ok(())
    }
}

impl Open {
    fn rewind(&mut self, kept: u64) {
        self.count = kept;
        self.found.retain(|(ordinal, _)| *ordinal < kept);
        self.marked = self.marked.filter(|ordinal| *ordinal < kept);
    }
}

fn gone(client: &Client, what: &str) -> StoreError {
    client.fault(ErrorKind::LogLost, "mysql.log_lost", what)
}

/// Crossfade's own tables whose rows say whose a transaction is.
fn is_marks(table: &str) -> bool {
    [own::CHECKPOINT, strangers::MARK]
        .iter()
        .any(|own| table.eq_ignore_ascii_case(own))
}

/// Whether a row of such a table is the migration's: its first column.
fn names(row: &RowChange, migration: &str) -> bool {
    let row = match row {
        RowChange::Insert { row } => row,
        RowChange::Update { before, .. } | RowChange::Delete { before } => before,
    };
    matches!(row.0.first(), Some(Cell::TextForm(text) | Cell::Blob(text)) if text[..] == *migration.as_bytes())
}

fn wanted(tables: &Tables) -> crossfade_mysql_binlog::Wanted {
    let keys = tables.wanted();
    let own: HashSet<String> = ["migration".to_owned()].into();
    let is_ours = tables.is_database();
    Box::new(move |database, table| {
        if is_marks(table) && is_ours(database) {
            return Interest::Columns(own.clone());
        }
        keys(database, table).map_or(Interest::Nothing, Interest::Columns)
    })
}

/// The cells of a key, apart from the event that they came in; `None` for a key of no columns.
fn cells(row: &Row) -> Option<Vec<Cell>> {
    let copied = |cell: &Cell| match cell {
        Cell::TextForm(bytes) => Cell::TextForm(Bytes::copy_from_slice(bytes)),
        Cell::Text(bytes) => Cell::Text(Bytes::copy_from_slice(bytes)),
        Cell::Blob(bytes) => Cell::Blob(Bytes::copy_from_slice(bytes)),
        Cell::Null | Cell::Unchanged | Cell::Unfit(_) | Cell::Integer(_) | Cell::Real(_) => {
            cell.clone()
        }
    };
    let cells: Vec<Cell> = row.0.iter().map(copied).collect();
    (!cells.is_empty()).then_some(cells)
}
