//! Trying whether a database takes writes.

use super::Side;
use super::session::Session;
use crate::database::Database;

/// What a try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// It takes writes.
    Open,
    /// It refuses, in the fence's own words.
    Closed,
    /// A write waits.
    Waits,
    /// Something else.
    Broken(String),
}

/// How long a write waits at a door, milliseconds.
const PATIENCE: u64 = 2_000;

/// Tries a write that changes nothing, and leaves no row: an account's balance plus zero.
fn door(database: &Database) -> Door {
    let sql = "UPDATE accounts SET balance = balance + 0 WHERE id = 1";
    let tried = Session::open(&database.url()).and_then(|mut session| {
        session.patience(PATIENCE)?;
        match session {
            Session::Postgres(mut client) => client
                .batch_execute(sql)
                .map_err(|error| crate::postgres::describe(&error)),
            Session::Mysql(mut session) => session.run(sql).map_err(|error| error.to_string()),
            Session::Sqlite(connection) => connection
                .execute_batch(sql)
                .map_err(|error| error.to_string()),
        }
    });
    match tried {
        Ok(()) => Door::Open,
        Err(words) if words.contains("crossfade") => Door::Closed,
        Err(words)
            if words.contains("57014")
                || words.contains("database is locked")
                || words.contains("Lock wait timeout") =>
        {
            Door::Waits
        }
        Err(words) => Door::Broken(words),
    }
}

/// Tries both databases.
#[must_use]
pub fn doors(source: &Database, target: &Database) -> [Door; 2] {
    [door(source), door(target)]
}

/// Checks that not both take writes: the source, the target, the source again, since authority may change hands in between. Returns who
/// takes writes, and what was found.
///
/// # Panics
/// When both do.
#[track_caller]
pub fn assert_one_at_most(
    source: &Database,
    target: &Database,
    when: &str,
) -> (Option<Side>, [Door; 2]) {
    let [first, there] = doors(source, target);
    let again = door(source);
    let both = first == Door::Open && there == Door::Open && again == Door::Open;
    assert!(!both, "{when}: both stores take writes");
    let side = if again == Door::Open {
        Some(Side::Source)
    } else if there == Door::Open {
        Some(Side::Target)
    } else {
        None
    };
    (side, [again, there])
}
