//! What the log says of a table before its rows (MySQL internals, "TABLE_MAP_EVENT", and `Table_map_event::Optional_metadata`
//! for what `binlog_row_metadata` adds; MariaDB knowledge base, "TABLE_MAP_EVENT").

use bytes::Bytes;

use super::column::ColumnType;
use crate::cursor::{Cursor, text};
use crate::error::{Error, Result};

/// The collation `binary`: bytes, not characters.
pub const BINARY: u16 = 63;

/// MySQL's limit is 4096 columns.
const MOST_COLUMNS: usize = 4096;

/// A table as it was when the rows behind were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    /// The number that the rows name it by, for this statement only.
    pub id: u64,
    /// Its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Its columns, in the order of rows' images.
    pub columns: Vec<Column>,
    /// Positions of the primary key's columns, where the log has them.
    pub primary_key: Vec<usize>,
    /// Whether the log had the columns' names (`binlog_row_metadata = FULL`).
    pub has_names: bool,
    /// Whether the log said which numbers are unsigned.
    pub has_signedness: bool,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name; empty where the log has none.
    pub name: String,
    /// How its values are written.
    pub kind: ColumnType,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether a number is unsigned.
    pub unsigned: bool,
    /// The number of the collation of characters (`information_schema.COLLATIONS.ID`); 63 is binary.
    pub collation: Option<u16>,
    /// The words of an enumeration or a set, in the column's character set.
    pub words: Vec<Bytes>,
    /// Whether `SELECT *` shows it.
    pub visible: bool,
}

impl Column {
    /// The members of a `SET`'s value among its words, in the order of their declaration. `bits`: the value.
    pub fn members<W>(words: &[W], bits: i64) -> impl Iterator<Item = &W> {
        let is_in = move |place: usize| bits.cast_unsigned().checked_shr(place as u32);
        let all = words.iter().enumerate();
        all.filter(move |(place, _)| is_in(*place).is_some_and(|bits| bits & 1 == 1))
            .map(|(_, word)| word)
    }
}

impl TableMap {
    /// Database and name, to be shown.
    pub fn label(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Reads the table's database and name, which stand first.
    pub(crate) fn read_name(cursor: &mut Cursor) -> Result<(String, String)> {
        const WHAT: &str = "a table's name";
        let mut name = || -> Result<String> {
            let length = usize::from(cursor.u8(WHAT)?);
            let name = text(&cursor.take(length, WHAT)?);
            cursor.skip(1, WHAT)?;
            Ok(name)
        };
        Ok((name()?, name()?))
    }

    /// Reads what stands behind the name, as MariaDB or MySQL writes it.
    pub(crate) fn read(
        id: u64,
        (database, name): (String, String),
        mut cursor: Cursor,
        mariadb: bool,
    ) -> Result<TableMap> {
        const WHAT: &str = "a table's definition";
        let count = cursor.length(WHAT)?;
        if count > MOST_COLUMNS {
            return Err(Error::corrupt("a table has too many columns"));
        }
        let codes = cursor.take(count, WHAT)?;
        let mut metadata = Cursor::new(cursor.lenenc_bytes(WHAT)?);
        let nullable = cursor.take(count.div_ceil(8), WHAT)?;
        let mut table = TableMap {
            id,
            database,
            name,
            columns: Vec::with_capacity(count),
            primary_key: Vec::new(),
            has_names: false,
            has_signedness: false,
        };
        for (index, code) in codes.iter().enumerate() {
            let kind =
                ColumnType::read(*code, &mut metadata).map_err(|e| e.table(table.label()))?;
            table.columns.push(Column {
                name: String::new(),
                kind,
                nullable: bit(&nullable, index),
                unsigned: false,
                collation: None,
                words: Vec::new(),
                visible: true,
            });
        }
        while !cursor.is_empty() {
            let field = cursor.u8(WHAT)?;
            let value = Cursor::new(cursor.lenenc_bytes(WHAT)?);
            table
                .learn(field, value, mariadb)
                .map_err(|e| e.table(table.label()))?;
        }
        Ok(table)
    }

    /// One field of the optional metadata; unknown ones say nothing that rows are read by.
    fn learn(&mut self, field: u8, mut value: Cursor, mariadb: bool) -> Result<()> {
        const WHAT: &str = "a table's metadata";
        let is_character = if mariadb {
            is_character_of_mariadb
        } else {
            is_character_of_mysql
        };
        match field {
            1 => {
                self.has_signedness = true;
                let bits = value.rest();
                for (index, column) in self.of(is_numeric).enumerate() {
                    column.unsigned = bit_high_first(&bits, index);
                }
            }
            2 => self.default_collation(is_character, value)?,
            3 => self.collations(is_character, value)?,
            4 => {
                self.has_names = true;
                for column in &mut self.columns {
                    column.name = text(&value.lenenc_bytes(WHAT)?);
                }
            }
            5 => self.words(|kind| matches!(kind, ColumnType::Set { .. }), value)?,
            6 => self.words(|kind| matches!(kind, ColumnType::Enum { .. }), value)?,
            8 => {
                while !value.is_empty() {
                    let column = value.length(WHAT)?;
                    self.key_column(column)?;
                }
            }
            9 => {
                while !value.is_empty() {
                    let column = value.length(WHAT)?;
                    value.lenenc(WHAT)?;
                    self.key_column(column)?;
                }
            }
            10 => self.default_collation(is_words, value)?,
            11 => self.collations(is_words, value)?,
            12 => {
                let bits = value.rest();
                for (index, column) in self.columns.iter_mut().enumerate() {
                    column.visible = bit_high_first(&bits, index);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn of(&mut self, which: fn(ColumnType) -> bool) -> impl Iterator<Item = &mut Column> {
        self.columns
            .iter_mut()
            .filter(move |column| which(column.kind))
    }

    fn key_column(&mut self, column: usize) -> Result<()> {
        if column >= self.columns.len() || self.primary_key.len() >= MOST_COLUMNS {
            return Err(Error::corrupt(
                "a primary key names a column that is not there",
            ));
        }
        self.primary_key.push(column);
        Ok(())
    }

    /// One collation for all, then those that differ: the column's place among its like, and its collation.
    fn default_collation(
        &mut self,
        which: fn(ColumnType) -> bool,
        mut value: Cursor,
    ) -> Result<()> {
        let default = collation(&mut value)?;
        self.of(which)
            .for_each(|column| column.collation = Some(default));
        while !value.is_empty() {
            let place = value.length("a column's place")?;
            let different = collation(&mut value)?;
            let column = self.of(which).nth(place);
            column
                .ok_or_else(|| Error::corrupt("a collation of no column"))?
                .collation = Some(different);
        }
        Ok(())
    }

    fn collations(&mut self, which: fn(ColumnType) -> bool, mut value: Cursor) -> Result<()> {
        self.of(which).try_for_each(|column| {
            column.collation = Some(collation(&mut value)?);
            Ok(())
        })
    }

    fn words(&mut self, which: fn(ColumnType) -> bool, mut value: Cursor) -> Result<()> {
        const WHAT: &str = "a column's words";
        self.of(which).try_for_each(|column| {
            let count = value.length(WHAT)?;
            // every word takes at least a byte of what is left
            if count > value.len() {
                return Err(Error::short(WHAT));
            }
            column.words = (0..count)
                .map(|_| value.lenenc_bytes(WHAT))
                .collect::<Result<_>>()?;
            Ok(())
        })
    }
}

fn collation(value: &mut Cursor) -> Result<u16> {
    u16::try_from(value.lenenc("a collation")?)
        .map_err(|_| Error::corrupt("a collation's number is too great"))
}

/// The columns that the signedness field counts.
fn is_numeric(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Integer { .. }
            | ColumnType::Decimal { .. }
            | ColumnType::Float
            | ColumnType::Double
            | ColumnType::Year
    )
}

/// The columns that the collations' fields count: vectors too, which MySQL derives from blobs.
fn is_character_of_mysql(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Char { .. }
            | ColumnType::Varchar { .. }
            | ColumnType::Blob { .. }
            | ColumnType::Vector { .. }
    )
}

/// The same of MariaDB: geometries too; its vectors stand as `VARCHAR`.
fn is_character_of_mariadb(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Char { .. }
            | ColumnType::Varchar { .. }
            | ColumnType::Blob { .. }
            | ColumnType::Geometry { .. }
    )
}

fn is_words(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Enum { .. } | ColumnType::Set { .. })
}

/// A bit of a map whose first is the lowest of the first byte.
pub(crate) fn bit(map: &[u8], index: usize) -> bool {
    map.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

fn bit_high_first(map: &[u8], index: usize) -> bool {
    map.get(index / 8)
        .is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `(k int PRIMARY KEY, g geometry, v vector(3), j json, l varchar(20) latin1, u varchar(20) utf8mb4, b blob)`, as the servers
    /// write what stands behind the name.
    fn collations(definition: &[u8], mariadb: bool) -> Vec<(String, Option<u16>)> {
        let name = ("d".to_owned(), "t".to_owned());
        let cursor = Cursor::new(Bytes::copy_from_slice(definition));
        let table = TableMap::read(1, name, cursor, mariadb).unwrap();
        let columns = table.columns.into_iter();
        columns.map(|c| (c.name, c.collation)).collect()
    }

    fn expected(of: [Option<u16>; 7]) -> Vec<(String, Option<u16>)> {
        let names = ["k", "g", "v", "j", "l", "u", "b"].map(str::to_owned);
        names.into_iter().zip(of).collect()
    }

    #[test]
    fn collations_of_texts_behind_a_geometry_or_a_vector_are_their_own() {
        let names = b"\x04\x0e\x01k\x01g\x01v\x01j\x01l\x01u\x01b\x08\x01\x00";
        let mysql: &[u8] = b"\x07\x03\xff\xf2\xf5\x0f\x0f\xfc\x08\x04\x04\x04\x14\x00\x50\x00\x02\x7e\x01\x01\x00\x03\x06\x3f\x08\xfc\xff\x00\x3f\x07\x01\x00";
        assert_eq!(
            collations(&[mysql, names].concat(), false),
            expected([
                None,
                None,
                Some(BINARY),
                None,
                Some(8),
                Some(255),
                Some(BINARY)
            ])
        );
        let mariadb: &[u8] = b"\x07\x03\xff\x0f\xfc\x0f\x0f\xfc\x09\x04\x0c\x00\x04\x14\x00\x50\x00\x02\x7e\x01\x01\x00\x03\x08\x3f\x3f\x2e\x08\xfc\x00\x09\x3f\x07\x01\x00";
        assert_eq!(
            collations(&[mariadb, names].concat(), true),
            expected([
                None,
                Some(BINARY),
                Some(BINARY),
                Some(46),
                Some(8),
                Some(2304),
                Some(BINARY)
            ])
        );
    }
}
