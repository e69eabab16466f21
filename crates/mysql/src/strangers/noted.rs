//! What is noted durably: how far the log was read, and what was found in it.

use std::collections::BTreeMap;

use crossfade_model::{Cell, Mode};
use crossfade_mysql_binlog::LogPosition;
use crossfade_store::{ErrorKind, Result, Stranger, Written};

use super::{DOING, LOOK, STRANGER};
use crate::connect::Client;
use crate::describe::named;
use crate::fence::register;
use crate::names::literal;
use crate::stream::others::{LogPlace, Write};

/// Writes that are kept of one migration. What comes later only says that there is more.
const MOST_KEPT: usize = 10_000;

/// Rows or numbers of one statement.
const AT_ONCE: usize = 500;

/// Characters of `who`.
const MOST_WHO: usize = 500;

const WORDS: [(Written, &str); 6] = [
    (Written::Insert, "insert"),
    (Written::Update, "update"),
    (Written::Delete, "delete"),
    (Written::Truncate, "truncate"),
    (Written::Exchange, "exchange"),
    (Written::More, "more"),
];

fn word(operation: Written) -> &'static str {
    let found = WORDS.iter().find(|(known, _)| *known == operation);
    found.map_or("more", |(_, word)| word)
}

/// How far the log was read; `None` where it was not.
pub(super) async fn place(client: &mut Client, migration: &str) -> Result<Option<LogPlace>> {
    let sql = format!(
        "SELECT server, file, place, begun FROM {LOOK} WHERE migration = {}",
        literal(migration)
    );
    let row = client.text_row(DOING, &sql).await?;
    Ok(row.and_then(|row| {
        Some(LogPlace {
            server: row.text(0).to_owned(),
            position: LogPosition {
                file: row.number(1)?,
                offset: row.number(2)?,
            },
            begun: row.number(3)?,
        })
    }))
}

/// Begins at a place, whatever was read before; false where the store is open to applications, whose writes are nobody's to watch. Whoever
/// opens it forgets the place in the same transaction.
pub(super) async fn begin(client: &mut Client, migration: &str, at: &LogPlace) -> Result<bool> {
    client.run(DOING, "START TRANSACTION").await?;
    let begun = try_begin(client, migration, at).await;
    ended(client, begun).await
}

/// Ends the transaction: what was not done is taken back.
async fn ended(client: &mut Client, done: Result<bool>) -> Result<bool> {
    let end = match done {
        Ok(true) => "COMMIT",
        _ => "ROLLBACK",
    };
    client.run(DOING, end).await?;
    done
}

async fn try_begin(client: &mut Client, migration: &str, at: &LogPlace) -> Result<bool> {
    let base = register::migration_of(migration);
    let standing = register::read(client, base, register::Lock::Shared).await?;
    if standing.is_some_and(|standing| standing.register.mode == Mode::Open) {
        return Ok(false);
    }
    let sql = format!(
        "REPLACE INTO {LOOK} (migration, server, file, place, begun) VALUES ({}, {}, {}, {}, {})",
        literal(migration),
        literal(&at.server),
        at.position.file,
        at.position.offset,
        at.begun
    );
    client.run(DOING, &sql).await?;
    Ok(true)
}

/// Notes what was found between two places, and the second; false where the first is not the noted one any more.
pub(super) async fn add(
    client: &mut Client,
    migration: &str,
    from: &LogPlace,
    to: &LogPlace,
    writes: &[Write],
) -> Result<bool> {
    client.run(DOING, "START TRANSACTION").await?;
    let added = try_add(client, migration, from, to, writes).await;
    ended(client, added).await
}

async fn try_add(
    client: &mut Client,
    migration: &str,
    from: &LogPlace,
    to: &LogPlace,
    writes: &[Write],
) -> Result<bool> {
    let name = literal(migration);
    let moved = client
        .run(
            DOING,
            &format!(
                "UPDATE {LOOK} SET file = {}, place = {}, begun = {} WHERE migration = {name} AND server = {} AND file = {} AND place = {}",
                to.position.file,
                to.position.offset,
                to.begun,
                literal(&from.server),
                from.position.file,
                from.position.offset
            ),
        )
        .await?;
    if moved.affected != 1 {
        return Ok(false);
    }
    if writes.is_empty() {
        return Ok(true);
    }
    let counted = client
        .text_row(
            DOING,
            &format!("SELECT COUNT(*) FROM {STRANGER} WHERE migration = {name}"),
        )
        .await?;
    let kept = counted.and_then(|row| row.number(0)).unwrap_or(MOST_KEPT);
    let (kept, more) = with_room(writes, MOST_KEPT.saturating_sub(kept));
    // one entry a table says that there is more; made anew, so that whoever has seen the last one sees this
    for write in &more {
        let table = literal(&write.table.name);
        let sql = format!(
            "DELETE FROM {STRANGER} WHERE migration = {name} AND name = {table} AND operation = 'more'"
        );
        client.run(DOING, &sql).await?;
    }
    let all: Vec<String> = kept
        .iter()
        .chain(&more)
        .map(|write| row(&name, write))
        .collect();
    for rows in all.chunks(AT_ONCE) {
        let sql = format!(
            "INSERT INTO {STRANGER} (migration, name, operation, cells, at, who, told) VALUES {}",
            rows.join(", ")
        );
        client.run(DOING, &sql).await?;
    }
    Ok(true)
}

/// What finds room, in order, and for each table one entry for the rest.
fn with_room(writes: &[Write], room: usize) -> (Vec<Write>, Vec<Write>) {
    let mut kept = Vec::new();
    let mut more: BTreeMap<String, Write> = BTreeMap::new();
    for write in writes {
        if write.operation != Written::More && kept.len() < room {
            kept.push(write.clone());
            continue;
        }
        let rest = Write {
            operation: Written::More,
            key: None,
            ..write.clone()
        };
        more.insert(write.table.name.clone(), rest);
    }
    (kept, more.into_values().collect())
}

fn row(migration: &str, write: &Write) -> String {
    let cells = match &write.key {
        Some(cells) => literal(&serde_json::json!(cells).to_string()),
        None => "NULL".to_owned(),
    };
    let who: String = write.who.chars().take(MOST_WHO).collect();
    format!(
        "({migration}, {}, '{}', {cells}, {}, {}, FALSE)",
        literal(&write.table.name),
        word(write.operation),
        write.at,
        literal(&who)
    )
}

/// What was noted after an entry, oldest first, and the last one's number.
pub(super) async fn read(
    client: &mut Client,
    migration: &str,
    after: i64,
) -> Result<(Vec<Stranger>, i64)> {
    let sql = format!(
        "SELECT id, name, operation, cells, at, who, told FROM {STRANGER} WHERE migration = {} AND id > {after} ORDER BY id",
        literal(migration)
    );
    let rows = client.texts(DOING, &sql).await?;
    let mut out = Vec::with_capacity(rows.len());
    let mut last = after;
    for row in &rows {
        let operation = WORDS.iter().find(|(_, word)| *word == row.text(2));
        let cells = row.get(3).map(serde_json::from_str::<Vec<Cell>>);
        let (Some(id), Some((operation, _)), Ok(key)) =
            (row.number::<i64>(0), operation, cells.transpose())
        else {
            let what = format!("table {STRANGER} holds an entry that cannot be read");
            return Err(client.fault(ErrorKind::Corrupt, "mysql.stranger", what));
        };
        last = last.max(id);
        out.push(Stranger {
            id: (*operation != Written::More).then_some(id),
            table: named(row.text(1)),
            operation: *operation,
            key,
            at: row.number(4).unwrap_or_default(),
            who: row.text(5).to_owned(),
            told: row.is_true(6),
        });
    }
    Ok((out, last))
}

/// Remembers that these were told.
pub(super) async fn told(client: &mut Client, migration: &str, entries: &[i64]) -> Result<()> {
    for ids in entries.chunks(AT_ONCE) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let sql = format!(
            "UPDATE {STRANGER} SET told = TRUE WHERE migration = {} AND id IN ({}) AND NOT told",
            literal(migration),
            ids.join(", ")
        );
        client.run("remembering what was told", &sql).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(table: &str, operation: Written) -> Write {
        Write {
            table: named(table),
            operation,
            key: Some(vec![Cell::Integer(1)]),
            at: 1,
            who: String::new(),
        }
    }

    #[test]
    fn what_finds_no_room_is_one_entry_a_table() {
        let writes = [
            write("a", Written::Insert),
            write("b", Written::More),
            write("a", Written::Update),
            write("a", Written::Delete),
            write("b", Written::Delete),
        ];
        let (kept, more) = with_room(&writes, 2);
        let shown = |writes: &[Write]| -> Vec<(String, Written)> {
            let shown = |w: &Write| (w.table.name.clone(), w.operation);
            writes.iter().map(shown).collect()
        };
        let (insert, update) = (Written::Insert, Written::Update);
        assert_eq!(shown(&kept), [("a".into(), insert), ("a".into(), update)]);
        let more_of = |table: &str| (table.to_owned(), Written::More);
        assert_eq!(shown(&more), [more_of("a"), more_of("b")]);
        assert!(more.iter().all(|write| write.key.is_none()));
    }
}
