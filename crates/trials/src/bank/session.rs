//! A teller's connection to one of the databases.

use std::path::Path;
use std::time::Duration;

use postgres::{Client, SimpleQueryMessage};
use rusqlite::Connection;

use super::log::Transfer;
use crate::mysql;
use crate::postgres::{connect, describe};

/// Why a transfer was not acknowledged.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database does not take writes now: the fence's own words. Nothing was written.
    Refused,
    /// The connection was lost before the commit was asked for. Nothing was written.
    Lost(String),
    /// The connection was lost in the commit.
    Unknown(String),
    /// What no application should meet.
    Other(String),
}

/// A connection.
pub(super) enum Session {
    Postgres(Client),
    Mysql(mysql::Session),
    Sqlite(Connection),
}

impl Session {
    /// Connects.
    pub(super) fn open(url: &str) -> Result<Self, String> {
        if url.starts_with("mysql:") {
            let mut session = mysql::Session::open(url).map_err(|error| error.to_string())?;
            session
                .run("SET SESSION innodb_lock_wait_timeout = 120")
                .map_err(|error| error.to_string())?;
            return Ok(Self::Mysql(session));
        }
        let Some(path) = url.strip_prefix("sqlite:") else {
            return connect(url, None).map(Self::Postgres);
        };
        let connection = crate::sqlite::open(Path::new(path));
        connection
            .busy_timeout(Duration::from_secs(120))
            .map_err(|error| error.to_string())?;
        Ok(Self::Sqlite(connection))
    }

    /// Makes a transfer in one transaction and gives its number. Tables are written in either order, rows of accounts always in
    /// that of their numbers: who runs into a deadlock has somebody else to blame.
    pub(super) fn transfer(
        &mut self,
        transfer: &Transfer,
        accounts_first: bool,
    ) -> Result<i64, Failure> {
        let insert = insert(transfer);
        let moves = moves(transfer);
        match self {
            Self::Postgres(client) => on_postgres(client, &insert, &moves, accounts_first),
            Self::Mysql(session) => on_mysql(session, &insert, &moves, accounts_first),
            Self::Sqlite(connection) => on_sqlite(connection, &insert, &moves, accounts_first),
        }
    }

    /// For doors: how long a write may wait, milliseconds.
    pub(super) fn patience(&mut self, millis: u64) -> Result<(), String> {
        match self {
            Self::Postgres(client) => client
                .batch_execute(&format!("SET statement_timeout = {millis}"))
                .map_err(|error| describe(&error)),
            Self::Mysql(session) => session
                .run(&format!(
                    "SET SESSION innodb_lock_wait_timeout = {}",
                    millis.div_ceil(1000)
                ))
                .map_err(|error| error.to_string()),
            Self::Sqlite(connection) => connection
                .busy_timeout(Duration::from_millis(millis))
                .map_err(|error| error.to_string()),
        }
    }
}

fn insert(transfer: &Transfer) -> String {
    let Transfer {
        token,
        payer,
        receiver,
        amount,
    } = transfer;
    format!(
        "INSERT INTO transfers (token, payer, receiver, amount) VALUES ('{token}', {payer}, {receiver}, {amount}) RETURNING id"
    )
}

fn moves(transfer: &Transfer) -> [String; 2] {
    let change = |account: u32, sign: char| {
        let amount = transfer.amount;
        format!("UPDATE accounts SET balance = balance {sign} {amount} WHERE id = {account}")
    };
    let (pays, receives) = (change(transfer.payer, '-'), change(transfer.receiver, '+'));
    if transfer.payer < transfer.receiver {
        [pays, receives]
    } else {
        [receives, pays]
    }
}

fn on_postgres(
    client: &mut Client,
    insert: &str,
    moves: &[String; 2],
    accounts_first: bool,
) -> Result<i64, Failure> {
    let written = written_on_postgres(client, insert, moves, accounts_first);
    let number = match written {
        Ok(number) => number,
        Err(error) => {
            let failure = before_commit(&error);
            if !matches!(failure, Failure::Lost(_))
                && let Err(error) = client.batch_execute("ROLLBACK")
            {
                return Err(Failure::Lost(describe(&error)));
            }
            return Err(failure);
        }
    };
    match client.batch_execute("COMMIT") {
        Ok(()) => Ok(number),
        Err(error) if is_lost(&error) => Err(Failure::Unknown(describe(&error))),
        Err(error) => Err(Failure::Other(format!("COMMIT: {}", describe(&error)))),
    }
}

fn written_on_postgres(
    client: &mut Client,
    insert: &str,
    moves: &[String; 2],
    accounts_first: bool,
) -> Result<i64, postgres::Error> {
    client.batch_execute("BEGIN")?;
    let accounts = |client: &mut Client| moves.iter().try_for_each(|sql| client.batch_execute(sql));
    if accounts_first {
        accounts(client)?;
    }
    let messages = client.simple_query(insert)?;
    if !accounts_first {
        accounts(client)?;
    }
    let number = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    Ok(number.expect("a transfer has a number"))
}

fn before_commit(error: &postgres::Error) -> Failure {
    let words = describe(error);
    let code = error.code().map_or("", |code| code.code());
    if ["40001", "25006"].contains(&code) && words.contains("crossfade") {
        return Failure::Refused;
    }
    if is_lost(error) {
        return Failure::Lost(words);
    }
    Failure::Other(words)
}

/// The server ends, ended, or is beginning; or the connection is simply gone.
fn is_lost(error: &postgres::Error) -> bool {
    match error.code() {
        None => true,
        Some(code) => ["57P", "08"]
            .iter()
            .any(|class| code.code().starts_with(class)),
    }
}

fn on_mysql(
    session: &mut mysql::Session,
    insert: &str,
    moves: &[String; 2],
    accounts_first: bool,
) -> Result<i64, Failure> {
    let number = match written_on_mysql(session, insert, moves, accounts_first) {
        Ok(number) => number,
        Err(refusal) => {
            let failure = before_mysqls_commit(&refusal);
            if !matches!(failure, Failure::Lost(_))
                && let Err(lost) = session.run("ROLLBACK")
            {
                return Err(Failure::Lost(lost.to_string()));
            }
            return Err(failure);
        }
    };
    match session.run("COMMIT") {
        Ok(()) => Ok(number),
        Err(refusal) if is_gone(&refusal) => Err(Failure::Unknown(refusal.to_string())),
        Err(refusal) => Err(Failure::Other(format!("COMMIT: {refusal}"))),
    }
}

fn written_on_mysql(
    session: &mut mysql::Session,
    insert: &str,
    moves: &[String; 2],
    accounts_first: bool,
) -> Result<i64, mysql::Refusal> {
    session.run("BEGIN")?;
    if accounts_first {
        moves.iter().try_for_each(|sql| session.run(sql))?;
    }
    // MySQL has no RETURNING
    session.run(insert.trim_end_matches(" RETURNING id"))?;
    let rows = session.rows("SELECT LAST_INSERT_ID()")?;
    if !accounts_first {
        moves.iter().try_for_each(|sql| session.run(sql))?;
    }
    let number = rows[0][0]
        .as_deref()
        .and_then(|n| std::str::from_utf8(n).ok());
    Ok(number
        .and_then(|n| n.parse().ok())
        .expect("a transfer has a number"))
}

/// The fence's words, or a deadlock, of which nothing is written: both may be tried again.
fn before_mysqls_commit(refusal: &mysql::Refusal) -> Failure {
    const READ_ONLY: u16 = 1792;
    const DEADLOCK: u16 = 1213;
    match refusal.code {
        Some(READ_ONLY) if refusal.text.contains("crossfade") => Failure::Refused,
        Some(DEADLOCK) => Failure::Refused,
        _ if is_gone(refusal) => Failure::Lost(refusal.to_string()),
        _ => Failure::Other(refusal.to_string()),
    }
}

/// The server ends, or ended this session; or the connection is simply gone.
fn is_gone(refusal: &mysql::Refusal) -> bool {
    const ENDING: [u16; 4] = [1053, 1317, 1927, 3169];
    refusal.code.is_none_or(|code| ENDING.contains(&code))
}

fn on_sqlite(
    connection: &Connection,
    insert: &str,
    moves: &[String; 2],
    accounts_first: bool,
) -> Result<i64, Failure> {
    let written = written_on_sqlite(connection, insert, moves, accounts_first);
    written.map_err(|error| {
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").expect("rolls back");
        }
        let words = error.to_string();
        let by_trigger =
            error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation);
        if by_trigger && words.contains("crossfade") {
            return Failure::Refused;
        }
        Failure::Other(words)
    })
}

fn written_on_sqlite(
    connection: &Connection,
    insert: &str,
    moves: &[String; 2],
    accounts_first: bool,
) -> rusqlite::Result<i64> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let accounts = || {
        moves
            .iter()
            .try_for_each(|sql| connection.execute_batch(sql))
    };
    if accounts_first {
        accounts()?;
    }
    let number = connection.query_row(insert, [], |row| row.get(0))?;
    if !accounts_first {
        accounts()?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(number)
}
