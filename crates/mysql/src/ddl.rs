//! Making and removing what a target needs. DDL commits by itself here: each step is noted before it is made, and looked for
//! before it is made again.

use crossfade_model::{Index, Mode, Omission, Sequence, TableMapping};
use crossfade_store::{ErrorKind, HeldSequence, Made, Result, SequenceState};

use crate::connect::Client;
use crate::describe::catalog;
use crate::fence::{register, triggers};
use crate::names::{literal, quote};
use crate::server::Server;
use crate::writer::Turns;
use crate::{design, guard, own, strangers};

/// Kinds of what is noted as made.
pub(crate) const TABLE: &str = "table";
pub(crate) const GUARD: &str = "guard";

/// The statements that make the tables.
pub(crate) fn create_statements(tables: &[TableMapping], server: Option<&Server>) -> Vec<String> {
    tables.iter().map(|m| create(m, server)).collect()
}

/// The statement that makes a table; before the first session in MySQL's words.
fn create(mapping: &TableMapping, server: Option<&Server>) -> String {
    match (&mapping.target.definition, server) {
        (Some(definition), Some(server)) => design::flavor::translated(definition, server),
        (Some(definition), None) => definition.clone(),
        (None, server) => {
            let collation = server.map_or("utf8mb4_0900_bin", Server::exact_collation);
            design::create_table(&mapping.target, collation)
        }
    }
}

/// Runs a statement that was made of what a server printed, or here.
async fn run_definition(
    client: &mut Client,
    mapping: &TableMapping,
    doing: &str,
    statement: &str,
) -> Result<()> {
    if mapping.target.definition.is_some() {
        client.printed(doing, statement).await.map(drop)
    } else {
        client.run(doing, statement).await.map(drop)
    }
}

async fn is_there(client: &mut Client, table: &str) -> Result<bool> {
    let row = client
        .text_row(
            "looking for a table",
            &format!(
                "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {}",
                literal(table)
            ),
        )
        .await?;
    Ok(row.is_some())
}

/// Makes the tables that are absent, with their keys, and closes all of them.
pub(crate) async fn create_tables(
    client: &mut Client,
    migration: &str,
    tables: &[TableMapping],
) -> Result<()> {
    let server = std::sync::Arc::clone(&client.server);
    for mapping in tables {
        let name = &mapping.target.name.name;
        if !is_there(client, name).await? {
            own::remember(client, migration, TABLE, name).await?;
            let statement = create(mapping, Some(&server));
            run_definition(client, mapping, "making a table", &statement)
                .await
                .map_err(|e| e.table(name))?;
        }
        close(client, migration, name).await?;
    }
    Ok(())
}

/// Closes a table to others: by the fence where the database has a register of the migration that says so, by guards where it has none. Where
/// the register says open, the application writes there rightly.
async fn close(client: &mut Client, lane: &str, table: &str) -> Result<()> {
    let migration = register::migration_of(lane);
    match register::read(client, migration, register::Lock::No).await? {
        Some(standing) if standing.register.mode == Mode::Open => return Ok(()),
        Some(_) => return triggers::arm(client, migration, table).await,
        // the migration's source: nothing but its register may close it
        None if migration != lane => return Ok(()),
        None => {}
    }
    own::remember(client, lane, GUARD, table).await?;
    guard::close(client, lane, table).await
}

async fn indexes(client: &mut Client, mapping: &TableMapping) -> Result<Vec<catalog::Index>> {
    let found = catalog::indexes(client, Some(&mapping.target.name.name)).await?;
    Ok(found.into_values().next().unwrap_or_default())
}

/// Whether an index is one over exactly these columns, in any order.
pub(crate) fn is_key(index: &catalog::Index, names: &[&str]) -> bool {
    index.identifies()
        && index.parts.len() == names.len()
        && index.parts.iter().all(|part| {
            part.column
                .as_deref()
                .is_some_and(|c| names.iter().any(|n| n.eq_ignore_ascii_case(c)))
        })
}

/// Whether the table has its key, or needs none.
pub(crate) async fn has_key(client: &mut Client, mapping: &TableMapping) -> Result<bool> {
    let names = mapping.target_key_names();
    Ok(names.is_empty()
        || indexes(client, mapping)
            .await?
            .iter()
            .any(|i| is_key(i, &names)))
}

/// Builds indexes that are absent, in one pass over the table.
pub(crate) async fn build_indexes(
    client: &mut Client,
    mapping: &TableMapping,
    unique: bool,
) -> Result<()> {
    let present = indexes(client, mapping).await?;
    let absent: Vec<&Index> = mapping
        .target
        .indexes
        .iter()
        .filter(|i| unique || !i.unique)
        .filter(|i| !present.iter().any(|p| p.name.eq_ignore_ascii_case(&i.name)))
        .collect();
    // one at a time where more than one text index is among them, which cannot be built together
    let together = absent
        .iter()
        .filter(|i| i.definition.starts_with("FULLTEXT"))
        .count()
        < 2;
    let groups: Vec<Vec<&Index>> = if together {
        vec![absent]
    } else {
        absent.into_iter().map(|i| vec![i]).collect()
    };
    for group in groups.iter().filter(|g| !g.is_empty()) {
        let added: Vec<String> = group
            .iter()
            .map(|i| {
                let definition = design::flavor::translated(&i.definition, &client.server);
                format!("ADD {definition}")
            })
            .collect();
        let statement = format!(
            "ALTER TABLE {} {}",
            quote(&mapping.target.name.name),
            added.join(", ")
        );
        run_definition(client, mapping, "building indexes", &statement)
            .await
            .map_err(|e| e.table(&mapping.target.name))?;
    }
    Ok(())
}

/// Adds foreign keys, which validates them; returns those that could not be added.
pub(crate) async fn build_foreign_keys(
    client: &mut Client,
    turns: &Turns,
    tables: &[TableMapping],
) -> Result<Vec<Omission>> {
    let mut out = Vec::new();
    for mapping in tables {
        let table = &mapping.target.name.name;
        for key in &mapping.target.foreign_keys {
            let present = client
                .text_row(
                    "looking for a foreign key",
                    &format!(
                        "SELECT 1 FROM information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE()
                         AND TABLE_NAME = {} AND CONSTRAINT_NAME = {} AND CONSTRAINT_TYPE = 'FOREIGN KEY'",
                        literal(table),
                        literal(&key.name)
                    ),
                )
                .await?;
            if present.is_some() {
                continue;
            }
            let _turn = turns.write().await;
            let added = client
                .run(
                    "adding a foreign key",
                    &format!(
                        "ALTER TABLE {} ADD CONSTRAINT {} {}",
                        quote(table),
                        quote(&key.name),
                        key.definition
                    ),
                )
                .await;
            match added {
                Ok(_) => {}
                Err(e) if is_of_the_key(e.kind) => out.push(Omission {
                    kind: "foreign key".to_owned(),
                    name: format!("{table}.{}", key.name),
                    why: e.what,
                }),
                Err(e) => return Err(e.table(table)),
            }
        }
    }
    Ok(out)
}

/// The key itself or its rows are refused; trying again helps nothing.
fn is_of_the_key(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::RowRefused
            | ErrorKind::UniqueViolation
            | ErrorKind::Missing
            | ErrorKind::Internal
            | ErrorKind::Unsupported
    )
}

/// Raises counters; never lowers them.
pub(crate) async fn raise_sequences(
    client: &mut Client,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<()> {
    for sequence in sequences {
        let (Some((owner, column)), Some(last)) = (&sequence.owner, sequence.last_value) else {
            continue;
        };
        for mapping in tables.iter().filter(|m| &m.source.name == owner) {
            let Ok(next) = u64::try_from(last.saturating_add(1)) else {
                continue;
            };
            raise_one(client, mapping, column, next)
                .await
                .map_err(|e| e.table(&mapping.target.name))?;
        }
    }
    Ok(())
}

/// What the target has in the place of each of these counters.
pub(crate) async fn sequence_states(
    client: &mut Client,
    sequences: &[Sequence],
    tables: &[TableMapping],
) -> Result<Vec<HeldSequence>> {
    let mut out = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let mut held = Vec::new();
        if let Some((owner, column)) = &sequence.owner {
            for mapping in tables.iter().filter(|m| &m.source.name == owner) {
                let next = counter(client, mapping, column).await?;
                held.push(next.map_or(HeldSequence::NotCounted, |next| {
                    HeldSequence::Here(counted(next))
                }));
            }
        }
        out.push(HeldSequence::furthest_behind(held));
    }
    Ok(out)
}

/// A counter whose next value is known.
fn counted(next: u64) -> SequenceState {
    SequenceState {
        value: next
            .checked_sub(1)
            .filter(|last| *last > 0)
            .map(|last| i64::try_from(last).unwrap_or(i64::MAX)),
        first: Some(1),
        // a setting of the session, not of the table
        increment: None,
        cycles: false,
    }
}

/// The next value of the target's column for a source's, where the server counts it.
async fn counter(client: &mut Client, mapping: &TableMapping, column: &str) -> Result<Option<u64>> {
    let table = literal(&mapping.target.name.name);
    let target = mapping
        .columns
        .iter()
        .find(|c| c.source == column)
        .map_or(column, |c| c.target.as_str());
    let found = client
        .text_row(
            "reading a counter",
            // both names of both tables: MariaDB opens every table whose names are not given as such
            &format!(
                "SELECT t.AUTO_INCREMENT FROM information_schema.TABLES t CROSS JOIN information_schema.COLUMNS c
                 WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME = {table} AND c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = {table}
                   AND c.COLUMN_NAME = {} AND c.EXTRA LIKE '%auto_increment%'",
                literal(target)
            ),
        )
        .await?;
    // an empty table's may be NULL
    Ok(found.map(|row| row.number::<u64>(0).unwrap_or(1)))
}

async fn raise_one(
    client: &mut Client,
    mapping: &TableMapping,
    column: &str,
    next: u64,
) -> Result<()> {
    if counter(client, mapping, column)
        .await?
        .is_none_or(|now| now >= next)
    {
        return Ok(());
    }
    client
        .run(
            "raising a counter",
            &format!(
                "ALTER TABLE {} AUTO_INCREMENT = {next}",
                quote(&mapping.target.name.name)
            ),
        )
        .await
        .map(drop)
}

/// Tables whose guards are gone.
pub(crate) async fn opened(client: &mut Client, migration: &str) -> Result<Vec<String>> {
    if !own::exists(client).await? {
        return Ok(Vec::new());
    }
    let base = register::migration_of(migration);
    let standing = register::read(client, base, register::Lock::No).await?;
    if standing.is_some_and(|s| s.register.mode == Mode::Open) {
        return Ok(Vec::new());
    }
    let mut closed = own::made(client, migration, GUARD).await?;
    closed.extend(register::fenced(client, base).await?);
    closed.sort();
    closed.dedup();
    let mut out = Vec::new();
    for table in closed {
        if is_there(client, &table).await?
            && !guard::is_closed(client, &table).await?
            && !triggers::is_armed(client, base, &table).await?
        {
            out.push(table);
        }
    }
    Ok(out)
}

/// Closes tables whose guards somebody took off; returns these.
pub(crate) async fn close_again(client: &mut Client, migration: &str) -> Result<Vec<String>> {
    let opened = opened(client, migration).await?;
    for table in &opened {
        close(client, migration, table).await?;
    }
    Ok(opened)
}

fn item(kind: &str, name: impl Into<String>, detail: &str) -> Made {
    Made {
        kind: kind.to_owned(),
        name: name.into(),
        detail: detail.to_owned(),
    }
}

/// What a migration made here besides the tables.
pub(crate) async fn made(client: &mut Client, migration: &str) -> Result<Vec<Made>> {
    if !own::exists(client).await? {
        return Ok(Vec::new());
    }
    let mut out: Vec<Made> = own::made(client, migration, GUARD)
        .await?
        .into_iter()
        .map(|table| {
            item(
                "trigger",
                format!("guards of {table}"),
                "refuse writes of others",
            )
        })
        .collect();
    if let Some(state) = own::read(client, migration).await? {
        let name = format!("{} and {} records", own::RUN, state.records.len());
        out.push(item("rows", name, ""));
    }
    Ok(out)
}

/// Removes guards, crossfade's rows, and those of `tables` that the migration made.
pub(crate) async fn remove(
    client: &mut Client,
    migration: &str,
    tables: &[TableMapping],
) -> Result<Vec<Made>> {
    if !own::exists(client).await? {
        return Ok(Vec::new());
    }
    let mut gone = Vec::new();
    for table in own::made(client, migration, GUARD).await? {
        let guards = guard::open(client, &table).await?;
        gone.extend(guards.into_iter().map(|name| item("trigger", name, "")));
        own::forget_one(client, migration, GUARD, &table).await?;
    }
    let ours: Vec<String> = own::made(client, migration, TABLE)
        .await?
        .into_iter()
        .filter(|name| tables.iter().any(|m| &m.target.name.name == name))
        .collect();
    // parents and children go together
    client
        .run("removing tables", "SET SESSION foreign_key_checks = OFF")
        .await?;
    for table in ours {
        client
            .run(
                "removing tables",
                &format!("DROP TABLE IF EXISTS {}", quote(&table)),
            )
            .await?;
        gone.push(item("table", table, ""));
    }
    let mut own_tables = strangers::remove(client, migration).await?;
    own_tables.extend(own::forget(client, migration).await?);
    gone.extend(own_tables.into_iter().map(|name| item("table", name, "")));
    Ok(gone)
}
