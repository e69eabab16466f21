//! Servers, statements, and what the stream brought of them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use crossfade_model::{Cell, Row};
use crossfade_mysql_binlog::{
    Address, BinlogStream, Column, Connection, Credentials, Error, Interest, Item, LogFile,
    LogPosition, RowChange, Start, StreamOptions, TableMap, Tls, replica_id,
};

/// One test at a time: what one writes into a server's log would stop another's stream.
pub async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}

/// One of the servers that the environment names.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: &'static str,
    address: Address,
    credentials: Credentials,
}

impl Server {
    pub fn is_mariadb(&self) -> bool {
        self.name != "MYSQL97"
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A session for statements.
    pub async fn session(&self) -> Session {
        let mut session = Session {
            connection: Connection::open(&self.address, &self.credentials, &Tls::Off)
                .await
                .unwrap(),
        };
        session.run("SET time_zone = '+00:00'").await;
        session
    }

    /// A session in an empty database of this name.
    pub async fn database(&self, name: &str) -> Session {
        let mut session = self.session().await;
        session.run("SET SESSION sql_mode = ''").await;
        session
            .run(&format!("DROP DATABASE IF EXISTS {name}"))
            .await;
        session
            .run(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))
            .await;
        session.run(&format!("USE {name}")).await;
        session
    }

    /// The log's end.
    pub async fn end(&self) -> Start {
        let mut session = self.session().await;
        let statement = match self.is_mariadb() {
            true => "SHOW MASTER STATUS",
            false => "SHOW BINARY LOG STATUS",
        };
        let row = session.rows(statement).await.remove(0);
        let file = LogFile::parse(&row[0]).unwrap();
        Start::Place {
            base: file.base,
            position: LogPosition {
                file: file.number,
                offset: row[1].parse().unwrap(),
            },
        }
    }

    /// The stream of one database's tables.
    pub async fn try_stream(
        &self,
        start: &Start,
        database: &str,
        hold_bytes: usize,
    ) -> Result<BinlogStream, Error> {
        let wanted = database.to_owned();
        let options = StreamOptions {
            replica: replica_id(),
            wanted: Box::new(move |database, table| interest(database == wanted, table)),
            hold_bytes,
            server: None,
        };
        BinlogStream::open(&self.address, &self.credentials, &Tls::Off, start, options).await
    }

    pub async fn stream(&self, start: &Start, database: &str) -> BinlogStream {
        self.try_stream(start, database, 4 << 20).await.unwrap()
    }

    /// All items of a database from `start` up to the definition or change that comes with the table `done`, without it.
    pub async fn items(&self, start: &Start, database: &str) -> Result<Vec<Item>, Error> {
        self.mark(database).await;
        let mut stream = self.try_stream(start, database, 4 << 20).await?;
        until_mark(&mut stream, database).await
    }

    /// Writes the statement that ends a reading.
    pub async fn mark(&self, database: &str) {
        let mut session = self.session().await;
        session
            .run(&format!(
                "CREATE TABLE IF NOT EXISTS {database}.zz_mark (a int)"
            ))
            .await;
        session.run(&format!("DROP TABLE {database}.zz_mark")).await;
    }
}

/// In a database that is wanted everything is, but of tables that begin with an `o` only `a` and `b` must be there.
fn interest(wanted: bool, table: &str) -> Interest {
    match wanted {
        false => Interest::Nothing,
        true if table.starts_with('o') => Interest::Columns(["a", "b"].map(str::to_owned).into()),
        true => Interest::Whole,
    }
}

pub async fn until_mark(stream: &mut BinlogStream, database: &str) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    let limit = Instant::now() + Duration::from_secs(120);
    while Instant::now() < limit {
        for item in stream.next().await? {
            if let Item::Definition(definition) = &item
                && definition.sql.contains("zz_mark")
            {
                if definition.sql.contains("DROP") {
                    return Ok(items);
                }
                continue;
            }
            items.push(item);
        }
    }
    panic!("the mark in {database} never came");
}

pub struct Session {
    pub connection: Connection,
}

impl Session {
    pub async fn run(&mut self, sql: &str) {
        self.bytes(sql).await;
    }

    /// Rows as bytes.
    pub async fn bytes(&mut self, sql: &str) -> Vec<Vec<Option<Bytes>>> {
        match self.connection.query(sql).await {
            Ok(rows) => rows,
            Err(e) => panic!("{sql}: {e}"),
        }
    }

    /// Rows as text, NULL as the word.
    pub async fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let text = |cell: Option<Bytes>| match cell {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => "NULL".to_owned(),
        };
        let rows = self.bytes(sql).await;
        rows.into_iter()
            .map(|row| row.into_iter().map(text).collect())
            .collect()
    }

    pub async fn value(&mut self, sql: &str) -> String {
        self.rows(sql).await.remove(0).remove(0)
    }
}

fn with(name: &'static str, variable: &str) -> Option<Server> {
    // mysql://user:password@host:port/…
    let url = std::env::var(variable).ok()?;
    let (who, place) = url.split_once("://")?.1.rsplit_once('@')?;
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let place = place.split(['/', '?']).next()?;
    let (host, port) = place.rsplit_once(':')?;
    Some(Server {
        name,
        address: Address::Tcp(host.to_owned(), port.parse().ok()?),
        credentials: Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        },
    })
}

pub fn mysql() -> Option<Server> {
    with("MYSQL97", "CROSSFADE_TEST_MYSQL97")
}

pub fn mariadbs() -> Vec<Server> {
    let old = with("MARIADB1011", "CROSSFADE_TEST_MARIADB1011");
    let new = with("MARIADB118", "CROSSFADE_TEST_MARIADB118");
    old.into_iter().chain(new).collect()
}

/// All three, or none: without servers only what needs none is tested.
pub fn servers() -> Vec<Server> {
    let all: Vec<Server> = mysql().into_iter().chain(mariadbs()).collect();
    match all.len() {
        3 => {}
        0 => eprintln!("CROSSFADE_TEST_MYSQL97 and the others are not set: nothing is tested here"),
        _ => panic!("only some of CROSSFADE_TEST_MYSQL97, …_MARIADB1011, …_MARIADB118 are set"),
    }
    all
}

/// Short words for items, for comparisons: `begin`, `+t(1,a)`, `~t(1,a)(1,b)`, `-t(1,b)`, `commit`, `ddl …`, `rewind 3`, `abort`.
/// What passes is left out.
pub fn words(items: &[Item]) -> Vec<String> {
    let row = |table: &TableMap, row: &Row| {
        let cells: Vec<String> = texts(table, row).iter().map(shown).collect();
        format!("({})", cells.join(","))
    };
    items
        .iter()
        .filter_map(|item| {
            Some(match item {
                Item::Begin(_) => "begin".to_owned(),
                Item::Change(change) => {
                    let table = &change.table.name;
                    let row = |of: &Row| row(&change.table, of);
                    match &change.row {
                        RowChange::Insert { row: new } => format!("+{table}{}", row(new)),
                        RowChange::Update { before, after } => {
                            format!("~{table}{}{}", row(before), row(after))
                        }
                        RowChange::Delete { before } => format!("-{table}{}", row(before)),
                    }
                }
                Item::Rewind { kept } => format!("rewind {kept}"),
                Item::Abort(_) => "abort".to_owned(),
                Item::Commit(_) => "commit".to_owned(),
                Item::Definition(definition) => format!("ddl {}", definition.sql),
                Item::Passed(_) => return None,
            })
        })
        .collect()
}

/// A row's cells, sets as `SELECT` shows those of a character set whose comma is one byte.
pub fn texts(table: &TableMap, row: &Row) -> Vec<Cell> {
    let cells = row.0.iter().zip(&table.columns);
    let text = |(cell, column): (&Cell, &Column)| match cell {
        Cell::Integer(bits) => {
            let members: Vec<&[u8]> = Column::members(&column.words, *bits)
                .map(|word| &word[..])
                .collect();
            Cell::TextForm(members.join(&b","[..]).into())
        }
        other => other.clone(),
    };
    cells.map(text).collect()
}

pub fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::TextForm(bytes) | Cell::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cell::Unchanged => "-".to_owned(),
        Cell::Real(real) => format!("{real}"),
        other => panic!("{other:?}"),
    }
}

/// The rows that were inserted, in order.
pub fn inserted(items: &[Item]) -> Vec<Vec<Cell>> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Change(change) => match &change.row {
                RowChange::Insert { row } => Some(texts(&change.table, row)),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// Where the last transaction ended.
pub fn last_end(items: &[Item]) -> LogPosition {
    items
        .iter()
        .rev()
        .find_map(|item| match item {
            Item::Commit(end) | Item::Passed(end) | Item::Abort(end) => Some(end.position),
            Item::Definition(definition) => definition.end.as_ref().map(|end| end.position),
            _ => None,
        })
        .unwrap()
}
