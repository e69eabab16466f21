//! From the bytes of events to what they say. Pure; keeps what later events are read by: the file's format, the
//! statement's tables.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use crossfade_store::ErrorKind;

use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::event::compressed::{Payload, inflate};
use crate::event::format::{Format, Rotate};
use crate::event::gtid::{Announced, XaPrepare};
use crate::event::header::{Checksum, Framed, Header, described_checksum, frame};
use crate::event::kind;
use crate::event::query::Query;
use crate::event::rows::{Rows, RowsHead, STATEMENT_END};
use crate::event::table_map::TableMap;
use crate::interest::{Interest, Wanted};

/// What an event says.
#[derive(Debug)]
pub(crate) enum Said {
    Rotate(Rotate),
    Format(Arc<Format>),
    /// The server is being shut down: the file ends.
    Stop,
    Announced(Announced),
    Query(Query),
    /// Committed.
    Xid,
    XaPrepare(XaPrepare),
    Rows(Rows),
    /// Nothing to do: a heartbeat (with the position in its header), comments, other tables' rows.
    Heartbeat,
    /// A compressed transaction was opened: [`Decoder::inner`] has its events.
    Opened,
    Nothing,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub header: Header,
    pub said: Said,
    /// It came inside a compressed transaction: its header tells no position.
    pub inner: bool,
}

/// The number that stands for no table, in an event that only ends a statement.
const NO_TABLE: u64 = 0xff_ffff;

/// Definitions that are remembered, so that each statement's is not parsed anew.
const MOST_TABLES: usize = 4096;

/// Reads a stream's events one after another.
pub(crate) struct Decoder {
    wanted: Wanted,
    mariadb: bool,
    checksum: Checksum,
    format: Option<Arc<Format>>,
    /// What was parsed before, by number and bytes.
    known: HashMap<u64, Known>,
    /// The numbers that the statement has defined; others mean nothing.
    defined: Vec<u64>,
    payload: Option<Payload>,
    most: usize,
}

struct Known {
    body: Bytes,
    /// `None` where it is not wanted: whatever is in it then does not matter.
    table: Option<(Arc<TableMap>, Interest)>,
}

impl Decoder {
    /// `checksum` is what was agreed on, for what comes before the first format description. `most`: bytes of one event.
    pub fn new(wanted: Wanted, mariadb: bool, checksum: Checksum, most: usize) -> Decoder {
        Decoder {
            wanted,
            mariadb,
            checksum,
            format: None,
            known: HashMap::new(),
            defined: Vec::new(),
            payload: None,
            most,
        }
    }

    /// The next event of a compressed transaction, until it has no more.
    ///
    /// # Errors
    /// What stops the stream.
    pub fn inner(&mut self) -> Result<Option<Decoded>> {
        let Some(payload) = &mut self.payload else {
            return Ok(None);
        };
        let Some(event) = payload.next_event()? else {
            self.payload = None;
            return Ok(None);
        };
        let framed = frame(event, Checksum::Off)?;
        if matches!(
            framed.header.kind,
            kind::TRANSACTION_PAYLOAD | kind::FORMAT_DESCRIPTION | kind::ROTATE
        ) {
            return Err(Error::corrupt(
                "a compressed transaction holds an event that cannot be in one",
            ));
        }
        self.said(framed, true).map(Some)
    }

    /// Takes the next event of the stream. Only after [`Decoder::inner`] has no more.
    ///
    /// # Errors
    /// What stops the stream.
    pub fn take(&mut self, event: Bytes) -> Result<Decoded> {
        if event.len() > self.most {
            return Err(crate::event::compressed::too_big(
                event.len() as u64,
                self.most,
            ));
        }
        let framed = frame(event.clone(), self.checksum)?;
        if framed.header.kind == kind::FORMAT_DESCRIPTION {
            self.checksum = described_checksum(&event)?;
            let format = Arc::new(Format::read(framed.body, self.checksum)?);
            self.format = Some(Arc::clone(&format));
            self.defined.clear();
            self.known.clear();
            return Ok(Decoded {
                header: framed.header,
                said: Said::Format(format),
                inner: false,
            });
        }
        self.said(framed, false)
    }

    fn said(&mut self, framed: Framed, inner: bool) -> Result<Decoded> {
        let header = framed.header;
        let said = self.read(framed)?;
        Ok(Decoded {
            header,
            said,
            inner,
        })
    }

    fn read(&mut self, Framed { header, body }: Framed) -> Result<Said> {
        Ok(match header.kind {
            kind::ROTATE => Said::Rotate(Rotate::read(body)?),
            kind::STOP => Said::Stop,
            kind::GTID => Said::Announced(Announced::read_mysql(body, false)?),
            kind::ANONYMOUS_GTID => Said::Announced(Announced::read_mysql(body, true)?),
            kind::TAGGED_GTID => Said::Announced(Announced::read_tagged(body)?),
            kind::MARIADB_GTID => Said::Announced(Announced::read_mariadb(
                body,
                header.server_id,
                header.timestamp,
            )?),
            kind::QUERY => Said::Query(Query::read(body, Ok)?),
            kind::MARIADB_QUERY_COMPRESSED => {
                let most = self.most;
                Said::Query(Query::read(body, |text| inflate(text, most))?)
            }
            kind::XID => Said::Xid,
            kind::XA_PREPARE => Said::XaPrepare(XaPrepare::read(body)?),
            kind::TABLE_MAP => {
                self.define(body)?;
                Said::Nothing
            }
            rows if RowsHead::is_rows(rows) => self.rows(rows, body)?,
            kind::TRANSACTION_PAYLOAD => {
                // it says nothing itself: its content comes next
                self.payload = Some(Payload::open(body, self.most)?);
                Said::Opened
            }
            kind::HEARTBEAT => Said::Heartbeat,
            kind::INCIDENT => return Err(incident()),
            kind::BEGIN_LOAD_QUERY
            | kind::EXECUTE_LOAD_QUERY
            | kind::APPEND_BLOCK
            | kind::DELETE_FILE => return Err(statement_format("LOAD DATA")),
            // values that a statement behind them uses: it tells itself
            kind::INTVAR | kind::RAND | kind::USER_VAR => Said::Nothing,
            kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::PREVIOUS_GTIDS
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::HEARTBEAT_V2
            | kind::MARIADB_ANNOTATE_ROWS
            | kind::MARIADB_CHECKPOINT
            | kind::MARIADB_GTID_LIST
            | kind::MARIADB_START_ENCRYPTION => Said::Nothing,
            _ if header.is_ignorable() => Said::Nothing,
            unknown => return Err(self.unknown(unknown)),
        })
    }

    fn unknown(&self, kind: u8) -> Error {
        let version = self
            .format
            .as_ref()
            .map_or("an unknown server", |format| format.server_version.as_str());
        Error::new(
            ErrorKind::Unsupported,
            "binlog.unknown_event",
            format!(
                "the log of {version} has an event of type {kind}, which is not known and may not be left out"
            ),
        )
    }

    /// Remembers a table's definition.
    fn define(&mut self, body: Bytes) -> Result<()> {
        let mut cursor = Cursor::new(body.clone());
        let id = self.table_id(&mut cursor)?;
        if !self.defined.contains(&id) {
            self.defined.push(id);
        }
        if self.known.get(&id).is_some_and(|known| known.body == body) {
            return Ok(());
        }
        let name = TableMap::read_name(&mut cursor)?;
        let table = match (self.wanted)(&name.0, &name.1) {
            Interest::Nothing => None,
            interest => {
                let mariadb = self.format.as_ref().is_some_and(|f| f.is_of_mariadb());
                let table = TableMap::read(id, name, cursor, mariadb)?;
                Some((Arc::new(table), interest))
            }
        };
        if self.known.len() >= MOST_TABLES {
            let defined = std::mem::take(&mut self.defined);
            self.known.retain(|id, _| defined.contains(id));
            self.defined = defined;
        }
        let known = Known {
            // a copy, so that it does not keep a whole block of the network's buffer
            body: Bytes::copy_from_slice(&body),
            table,
        };
        self.known.insert(id, known);
        Ok(())
    }

    /// The fixed part of a table's definition: its number and flags.
    fn table_id(&self, cursor: &mut Cursor) -> Result<u64> {
        const WHAT: &str = "a table's definition";
        let id = cursor.uint(6, WHAT)?;
        cursor.skip(2, WHAT)?;
        Ok(id)
    }

    fn rows(&mut self, number: u8, body: Bytes) -> Result<Said> {
        let mut cursor = Cursor::new(body);
        let head = RowsHead::read(number, &mut cursor)?;
        let known = self.find(head.table);
        let said = match known.map(|known| &known.table) {
            None if head.table == NO_TABLE => Said::Nothing,
            None => return Err(undefined()),
            Some(None) => Said::Nothing,
            Some(Some((table, interest))) => {
                let cursor = Cursor::new(detached(cursor.rest()));
                let inflate = |rows| inflate(rows, self.most);
                let table = Arc::clone(table);
                let rows = Rows::open(head, cursor, table, interest, self.mariadb, inflate)?;
                Said::Rows(rows)
            }
        };
        if head.flags & STATEMENT_END != 0 {
            self.defined.clear();
        }
        Ok(said)
    }

    fn find(&self, id: u64) -> Option<&Known> {
        self.defined
            .contains(&id)
            .then(|| self.known.get(&id))
            .flatten()
    }
}

/// Bytes of an event that is small beside the network's buffer, by themselves: a row that is kept must not keep alive all
/// that came with it, of tables that nobody wanted.
fn detached(bytes: Bytes) -> Bytes {
    const SMALL: usize = 128 * 1024;
    match bytes.len() < SMALL {
        true => Bytes::copy_from_slice(&bytes),
        false => bytes,
    }
}

fn undefined() -> Error {
    Error::corrupt("rows of a table that was not defined before")
}

fn incident() -> Error {
    Error::new(
        ErrorKind::LogLost,
        "binlog.incident",
        "the server has written that its log lacks changes (an incident event)",
    )
    .fix("Copy anew: what was lost is in no log")
}

/// Rows that were changed by a statement in the log.
pub(crate) fn statement_format(what: &str) -> Error {
    Error::new(
        ErrorKind::Setting,
        "binlog.statement",
        format!("the log has a statement ({what}) instead of the rows that it changed"),
    )
    .fix("SET GLOBAL binlog_format = 'ROW'; sessions that are open keep their old setting until they end; then copy anew")
}
