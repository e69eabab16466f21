//! Rows of the log as rows of the mapped tables.
//!
//! A cell comes out in the form in which a snapshot reads it ([`crate::cells`]): who compares, hashes or writes it need not know where
//! it is from. That the log's columns are the planned ones is looked at once per definition in the log: definitions that
//! the log does not show (`sql_log_bin = 0`) must not be missed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use crossfade_model::{Cell, Row, TableId, TableMapping, TableName};
use crossfade_mysql_binlog::value::mariadb;
use crossfade_mysql_binlog::{BINARY, Column, ColumnType, TableMap};
use crossfade_store::{CaptureSpec, ErrorKind, StoreError};

use super::charset::{Charset, Charsets};
use crate::MysqlStore;
use crate::cells::{binary_digits, zoned};
use crate::describe::key_name;
use crate::server::Server;
use crate::types::Kind;

/// What is done to a cell of the log.
#[derive(Debug, Clone)]
enum Turn {
    Keep,
    Bits(u32),
    Zone,
    Text(Charset),
    /// The words of a set.
    Members(Arc<[Bytes]>),
    /// Bytes that the server shows as text.
    Shown(fn(&[u8]) -> Option<String>),
}

/// A column that is wanted.
#[derive(Debug, Clone)]
struct Planned {
    name: String,
    declared: String,
    kind: Kind,
    /// It is compared as an instant, whatever its own type.
    instant: bool,
}

/// How rows of one definition are read.
struct Reader {
    map: Arc<TableMap>,
    places: Vec<(usize, Turn)>,
}

/// A mapped table.
pub(super) struct Mapped {
    pub id: TableId,
    pub name: TableName,
    columns: Vec<Planned>,
    /// The index that identifies a row.
    pub key: String,
    /// All columns of the planned table, generated ones too; `None` where others do not matter.
    known: Option<HashSet<String>>,
    reader: Option<Reader>,
}

/// Why a row cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The table is not the planned one: in words.
    Changed(String),
    /// What stops the stream.
    Failed(Box<StoreError>),
}

/// Rows of a table; `None` where it is not mapped.
pub(super) type Read<const N: usize> =
    std::result::Result<Option<(TableId, [Row; N])>, (TableId, Unread)>;

/// The mapped tables.
pub(super) struct Tables {
    database: String,
    /// Names of tables are compared without regard to case.
    folded: bool,
    label: Arc<str>,
    charsets: Charsets,
    by_name: HashMap<String, usize>,
    tables: Vec<Mapped>,
}

/// A name as it is looked up.
pub(super) fn fold(name: &str, folded: bool) -> String {
    if folded {
        name.to_lowercase()
    } else {
        name.to_owned()
    }
}

fn mapped(mapping: &TableMapping) -> Mapped {
    Mapped {
        id: mapping.id,
        name: mapping.source.name.clone(),
        columns: mapping
            .source
            .captured()
            .enumerate()
            .map(|(at, column)| Planned {
                name: column.name.clone(),
                declared: column.declared.clone(),
                kind: Kind::parse(&column.declared),
                instant: mapping.is_instant(at),
            })
            .collect(),
        known: Some(
            (mapping.source.columns.iter())
                .map(|column| column.name.clone())
                .collect(),
        ),
        key: key_name(&mapping.source).to_owned(),
        reader: None,
    }
}

impl Tables {
    pub fn new(
        store: &MysqlStore,
        server: &Server,
        spec: &CaptureSpec,
        charsets: Charsets,
    ) -> Tables {
        let folded = server.variable("lower_case_table_names") != Some("0");
        Tables::of(
            &store.address.database,
            folded,
            &store.label,
            spec,
            charsets,
        )
    }

    pub fn of(
        database: &str,
        folded: bool,
        label: &Arc<str>,
        spec: &CaptureSpec,
        charsets: Charsets,
    ) -> Tables {
        let tables: Vec<Mapped> = spec.tables.iter().map(mapped).collect();
        Tables {
            database: fold(database, folded),
            folded,
            label: Arc::clone(label),
            charsets,
            by_name: tables
                .iter()
                .enumerate()
                .map(|(at, table)| (fold(&table.name.name, folded), at))
                .collect(),
            tables,
        }
    }

    /// Columns that the mappings do not know are let be.
    pub fn with_any_columns(&mut self) {
        self.tables.iter_mut().for_each(|table| table.known = None);
    }

    /// Whether a database is the mapped tables' own.
    pub fn is_database(&self) -> impl Fn(&str) -> bool + Send + Sync + 'static {
        let (database, folded) = (self.database.clone(), self.folded);
        move |of| fold(of, folded) == database
    }

    /// Which columns the log must bring of a table; `None` for other tables.
    pub fn wanted(&self) -> impl Fn(&str, &str) -> Option<HashSet<String>> + Send + Sync + 'static {
        let (database, folded) = (self.database.clone(), self.folded);
        let wanted: HashMap<String, HashSet<String>> = self
            .by_name
            .iter()
            .filter_map(|(name, &at)| {
                let columns = self.tables.get(at)?.columns.iter();
                Some((name.clone(), columns.map(|c| c.name.clone()).collect()))
            })
            .collect();
        move |of, table| {
            (fold(of, folded) == database)
                .then(|| wanted.get(&fold(table, folded)).cloned())
                .flatten()
        }
    }

    /// A table by its names in the log.
    pub fn find(&self, database: &str, table: &str) -> Option<&Mapped> {
        if fold(database, self.folded) != self.database {
            return None;
        }
        self.tables
            .get(*self.by_name.get(&fold(table, self.folded))?)
    }

    /// All of them, where the database is theirs.
    pub fn of_database(&self, database: &str) -> &[Mapped] {
        if fold(database, self.folded) == self.database {
            &self.tables
        } else {
            &[]
        }
    }

    /// Takes some rows of one change apart, as rows of the mapped table. `None` for a table that is not mapped.
    pub fn read<const N: usize>(&mut self, map: &Arc<TableMap>, rows: [Row; N]) -> Read<N> {
        let Some(&at) = self.by_name.get(&fold(&map.name, self.folded)) else {
            return Ok(None);
        };
        let Some(table) = self.tables.get_mut(at) else {
            return Ok(None);
        };
        let id = table.id;
        let same = |reader: &Reader| {
            Arc::ptr_eq(&reader.map, map) || {
                let (one, other) = (&reader.map, map);
                one.columns == other.columns && one.name == other.name
            }
        };
        if !table.reader.as_ref().is_some_and(same) {
            let places =
                places(table, map, &self.charsets).map_err(|what| (id, Unread::Changed(what)))?;
            table.reader = Some(Reader {
                map: Arc::clone(map),
                places,
            });
        }
        let Some(reader) = &table.reader else {
            return Ok(None);
        };
        let mut out = rows;
        for row in &mut out {
            *row = reader.row(table, row).map_err(|what| {
                let failed =
                    StoreError::new(ErrorKind::Corrupt, "mysql.log_value", &*self.label, what)
                        .table(&table.name)
                        .fix("Correct the value on the source, then `abort` and begin again");
                (id, Unread::Failed(Box::new(failed)))
            })?;
        }
        Ok(Some((id, out)))
    }
}

impl Reader {
    fn row(&self, table: &Mapped, row: &Row) -> std::result::Result<Row, String> {
        let mut cells = Vec::with_capacity(self.places.len());
        for ((place, turn), planned) in self.places.iter().zip(&table.columns) {
            let cell = row.0.get(*place);
            cells.push(cell.and_then(|cell| turned(cell, turn)).ok_or_else(|| {
                format!(
                    "a value of column {} in the log has no form of the column's type",
                    planned.name
                )
            })?);
        }
        Ok(Row(cells))
    }
}

fn turned(cell: &Cell, turn: &Turn) -> Option<Cell> {
    match (cell, turn) {
        (Cell::Null, _) => Some(Cell::Null),
        (Cell::Unchanged, _) => None,
        (cell, Turn::Keep) => Some(cell.clone()),
        (Cell::Blob(bytes), Turn::Bits(width)) => {
            Some(Cell::TextForm(binary_digits(bytes, *width).into()))
        }
        (Cell::Blob(bytes), Turn::Shown(text)) => text(bytes).map(|t| Cell::TextForm(t.into())),
        (Cell::TextForm(text), Turn::Zone) => Some(zoned(text.to_vec())),
        (Cell::TextForm(text), Turn::Text(charset)) => charset.decode(text).map(Cell::TextForm),
        (Cell::Integer(bits), Turn::Members(words)) => {
            let members: Vec<&[u8]> = Column::members(words, *bits)
                .map(|word| &word[..])
                .collect();
            Some(Cell::TextForm(members.join(&b","[..]).into()))
        }
        _ => None,
    }
}

/// Where the wanted columns stand in a definition of the log, or how it differs from the planned one.
fn places(
    table: &Mapped,
    map: &TableMap,
    charsets: &Charsets,
) -> std::result::Result<Vec<(usize, Turn)>, String> {
    if !map.has_names {
        return Err(
            "the log does not tell the columns' names any more (binlog_row_metadata)".to_owned(),
        );
    }
    let unknown = map.columns.iter().find(|column| {
        // what MariaDB keeps behind unique keys of long columns
        let known = table.known.as_ref();
        known.is_some_and(|known| !known.contains(&column.name))
            && !column.name.starts_with("DB_ROW_HASH_")
    });
    if let Some(column) = unknown {
        return Err(format!("it has a new column {}", column.name));
    }
    table
        .columns
        .iter()
        .map(|planned| {
            let place = map.columns.iter().position(|c| c.name == planned.name);
            let found = place.and_then(|place| Some((place, map.columns.get(place)?)));
            let (place, column) =
                found.ok_or_else(|| format!("it has no column {} any more", planned.name))?;
            Ok((place, turn(planned, column, charsets)?))
        })
        .collect()
}

fn turn(
    planned: &Planned,
    column: &Column,
    charsets: &Charsets,
) -> std::result::Result<Turn, String> {
    use ColumnType as Log;
    let binary = column.collation == Some(BINARY);
    let characters = matches!(
        column.kind,
        Log::Char { .. } | Log::Varchar { .. } | Log::Blob { .. }
    );
    let is_word = matches!(column.kind, Log::Enum { .. });
    let is_set = matches!(column.kind, Log::Set { .. });
    // what a comma is depends on the character set: each word is read, then they are put together
    let members = |charset: Charset| {
        let words: Option<Arc<[Bytes]>> = column.words.iter().map(|w| charset.decode(w)).collect();
        let unread = || format!("a word of column {} cannot be read", planned.name);
        words.map(Turn::Members).ok_or_else(unread)
    };
    let is = |fits: bool, turn: Turn| {
        fits.then_some(turn)
            .ok_or_else(|| format!("column {} has another type", planned.name))
    };
    let charset = || match column.collation.map(|number| charsets.of(number)) {
        Some(Ok(charset)) => Ok(charset),
        Some(Err(name)) => Err(format!(
            "column {} has the character set {name}",
            planned.name
        )),
        None => Err(format!("column {} has no character set", planned.name)),
    };
    match planned.kind {
        Kind::Integer { bits, unsigned } => is(
            column.kind == Log::Integer { bytes: bits / 8 } && column.unsigned == unsigned,
            Turn::Keep,
        ),
        Kind::Year => is(column.kind == Log::Year, Turn::Keep),
        Kind::Decimal { .. } => is(matches!(column.kind, Log::Decimal { .. }), Turn::Keep),
        Kind::Single => is(column.kind == Log::Float, Turn::Keep),
        Kind::Double => is(column.kind == Log::Double, Turn::Keep),
        Kind::Text { .. } if characters && !binary => charset().map(Turn::Text),
        Kind::Word if is_word && !binary => charset().map(Turn::Text),
        Kind::Word if is_set && !binary => members(charset()?),
        Kind::Word if is_set => members(Charset::Utf8),
        Kind::Word => is(is_word, Turn::Text(Charset::Utf8)),
        Kind::Bytes { .. } => is(characters && binary, Turn::Keep),
        Kind::Formed => is(
            matches!(column.kind, Log::Geometry { .. } | Log::Vector { .. })
                || (characters && binary),
            Turn::Keep,
        ),
        Kind::Bit { width } => is(matches!(column.kind, Log::Bit { .. }), Turn::Bits(width)),
        Kind::Date => is(column.kind == Log::Date, Turn::Keep),
        Kind::Datetime { .. } => is(
            matches!(column.kind, Log::Datetime { .. } | Log::OldTemporal { .. }),
            if planned.instant {
                Turn::Zone
            } else {
                Turn::Keep
            },
        ),
        Kind::Timestamp { .. } => is(
            matches!(column.kind, Log::Timestamp { .. } | Log::OldTemporal { .. }),
            Turn::Zone,
        ),
        Kind::Time { .. } => is(
            matches!(column.kind, Log::Time { .. } | Log::OldTemporal { .. }),
            Turn::Keep,
        ),
        Kind::Json => is(matches!(column.kind, Log::Json { .. }), Turn::Keep),
        Kind::Uuid => is(characters && binary, Turn::Shown(mariadb::uuid_text)),
        Kind::Other => match planned.declared.as_str() {
            "inet4" => is(characters && binary, Turn::Shown(mariadb::inet4_text)),
            "inet6" => is(characters && binary, Turn::Shown(mariadb::inet6_text)),
            _ => is(false, Turn::Keep),
        },
        Kind::Text { .. } => is(false, Turn::Keep),
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
