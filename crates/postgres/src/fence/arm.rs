//! Putting the fence into tables, taking it off, and looking whether it is still there.

use std::time::{Duration, Instant};

use crossfade_model::{Table, TableName};
use crossfade_store::{ErrorKind, Result, StoreError};

use super::closure::{self, Member};
use super::hold::{SLICES, pause};
use super::{blockers, hold, names, register, sql};
use crate::connect::Client;
use crate::names::{OWN_SCHEMA, qualified};
use crate::session::Purpose;
use crate::store::PostgresStore;

/// How long a rare try waits where a vacuum alone is in the way: it gives way to who has waited for longer than `deadlock_timeout` (one
/// second unless changed). Where writers are, it would hold them up, and help no more than a short one.
const VACUUM_SLICE: Duration = Duration::from_millis(1500);

/// Tries that pass before one may be so long.
const VACUUM_EVERY: u32 = 20;

/// Arms; see [`crossfade_store::Fence::arm`].
///
/// # Errors
/// [`ErrorKind::Busy`], naming who held a table; [`ErrorKind::Permission`]; [`ErrorKind::Missing`].
pub(super) async fn arm(
    store: &PostgresStore,
    migration: &str,
    tables: &[Table],
    within: Duration,
) -> Result<()> {
    let begun = Instant::now();
    let client = store.connect(Purpose::Fence).await?;
    register::require(&client, migration).await?;
    let names: Vec<String> = tables.iter().map(|t| qualified(&t.name)).collect();
    remember(&client, migration, &names).await?;
    // a partition may come while others are armed
    for _ in 0..3 {
        let members = closure::read(&client, migration, &names).await?;
        let unarmed: Vec<&Member> = members
            .iter()
            .filter(|m| !m.foreign && !m.armed())
            .collect();
        if unarmed.is_empty() {
            break;
        }
        for member in unarmed {
            arm_member(&client, migration, member, begun, within).await?;
        }
    }
    restore(&client).await?;
    store.keep(client);
    Ok(())
}

/// Notes the tables in the register, before they are armed: what is missing later is told by it.
async fn remember(client: &Client, migration: &str, names: &[String]) -> Result<()> {
    let sql = format!(
        "UPDATE {OWN_SCHEMA}.register SET tables = ARRAY(
             SELECT DISTINCT t.name FROM unnest(tables || $2::text[]) AS t (name) ORDER BY 1)
         WHERE migration = $1 AND NOT tables @> $2::text[]"
    );
    client
        .execute("noting the fence's tables", &sql, &[&migration, &names])
        .await
        .map(drop)
}

async fn arm_member(
    client: &Client,
    migration: &str,
    member: &Member,
    begun: Instant,
    within: Duration,
) -> Result<()> {
    let mut statements = sql::arm(&member.name, migration, false);
    if member.needs_rows {
        statements = format!("{statements}; {}", sql::arm(&member.name, migration, true));
    }
    let mut tries = 0;
    loop {
        let slice = slice(client, &member.name, tries).await?;
        match alone(client, "arming a table", &statements, slice).await {
            Err(e) if matches!(e.kind, ErrorKind::Busy | ErrorKind::Conflict) => {
                if begun.elapsed() >= within {
                    return Err(busy(client, &member.name, "armed", within).await?);
                }
            }
            done => {
                return done.map_err(|e| e.table(&member.name));
            }
        }
        tries += 1;
        pause(tries).await;
    }
}

/// How long the next try may wait.
async fn slice(client: &Client, table: &TableName, tries: u32) -> Result<Duration> {
    let usual = SLICES[tries as usize % SLICES.len()];
    if tries % VACUUM_EVERY != VACUUM_EVERY - 1 {
        return Ok(usual);
    }
    let held = blockers::of_table(client, table).await?;
    let vacuum_alone =
        !held.is_empty() && held.iter().all(|h| h.blocker.who.starts_with("autovacuum"));
    Ok(if vacuum_alone { VACUUM_SLICE } else { usual })
}

/// One table's statements in a transaction of their own, which waits only briefly: no two tables' locks are ever held.
async fn alone(client: &Client, doing: &str, statements: &str, slice: Duration) -> Result<()> {
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = {}; {statements}; COMMIT",
        slice.as_millis()
    );
    let done = client.batch(doing, &sql).await;
    if done.is_err() {
        // the connection goes on after the failed transaction; its own error is the one to tell
        let _ended = client.batch("ending a transaction", "ROLLBACK").await;
    }
    done
}

/// Ends the sessions that hold a lock of writers on tables that are not armed; see [`crossfade_store::Fence::end_writers`].
///
/// # Errors
/// The server's.
pub(super) async fn end_writers(
    store: &PostgresStore,
    migration: &str,
    tables: &[Table],
) -> Result<()> {
    let client = store.connect(Purpose::Fence).await?;
    let names: Vec<String> = tables.iter().map(|t| qualified(&t.name)).collect();
    for member in closure::read(&client, migration, &names).await? {
        if !member.foreign && !member.armed() {
            let held = blockers::of_table(&client, &member.name).await?;
            hold::end(&client, &held).await?;
        }
    }
    store.keep(client);
    Ok(())
}

async fn busy(
    client: &Client,
    table: &TableName,
    what: &str,
    within: Duration,
) -> Result<StoreError> {
    let held = blockers::of_table(client, table).await?;
    let error = StoreError::new(
        ErrorKind::Busy,
        "postgres.table_busy",
        client.label(),
        format!(
            "the table could not be {what} within {} ms: in the way: {}",
            within.as_millis(),
            blockers::named(&held)
        ),
    )
    .table(table);
    Ok(error.fix(blockers::way_out(&held)))
}

async fn restore(client: &Client) -> Result<()> {
    let usual = format!("SET lock_timeout = '{}'", Purpose::Fence.lock_timeout());
    client.batch("ending the arming", &usual).await
}

/// Takes the fence off tables where nobody is in the way; see [`crossfade_store::Fence::disarm`].
///
/// # Errors
/// [`ErrorKind::Conflict`] where the register is not open; the server's.
pub(super) async fn disarm(
    store: &PostgresStore,
    migration: &str,
    tables: &[Table],
) -> Result<Vec<TableName>> {
    let client = store.connect(Purpose::Fence).await?;
    let Some(row) = register::read(&client, migration).await? else {
        return Ok(Vec::new());
    };
    if row.standing.register.mode != crossfade_model::Mode::Open {
        return Err(StoreError::new(
            ErrorKind::Conflict,
            "postgres.store_closed",
            client.label(),
            format!(
                "migration {migration}: the register is {}, its fence stays",
                row.standing.register
            ),
        ));
    }
    let names: Vec<String> = tables.iter().map(|t| qualified(&t.name)).collect();
    let mut left = Vec::new();
    for member in closure::read(&client, migration, &names).await? {
        if member.statement.is_none() && member.row.is_none() {
            continue;
        }
        // under the latch, as a writer has it: a switch that arms or fires meanwhile is not undone behind its back
        let statements = format!(
            "{}; {}",
            sql::while_open(migration),
            sql::disarm(&member.name, migration)
        );
        match alone(&client, "disarming a table", &statements, SLICES[3]).await {
            Err(e) if e.server_code.as_deref() == Some(sql::NOT_OPEN) => return Ok(left),
            Err(e) if matches!(e.kind, ErrorKind::Busy | ErrorKind::Conflict) => {
                left.push(member.name)
            }
            done => done.map_err(|e| e.table(&member.name))?,
        }
    }
    store.keep(client);
    Ok(left)
}

/// What the fence rests on and does not hold; see [`crossfade_store::Latch::recheck`].
///
/// # Errors
/// The server's.
pub(super) async fn recheck(client: &Client, migration: &str) -> Result<Vec<String>> {
    let row = register::require(client, migration).await?;
    let mut out = Vec::new();
    let members = closure::read(client, migration, &row.tables).await?;
    for name in &row.tables {
        let there = members.iter().any(|m| &qualified(&m.name) == name);
        if !there {
            out.push(format!("table {name} is gone"));
        }
    }
    if row.tables.is_empty() {
        out.push("no table is armed".to_owned());
    }
    for member in members.iter().filter(|m| !m.armed()) {
        out.push(words(member));
    }
    let oids: Vec<u32> = members.iter().map(|m| m.oid).collect();
    for held in blockers::prepared(client, &oids).await? {
        out.push(format!("{} holds what it wrote", held.blocker.who));
    }
    let sound = client
        .query_one(
            "looking at the fence's function",
            "SELECT coalesce((SELECT prosecdef AND prosrc = $2 FROM pg_proc WHERE oid = to_regprocedure($1)), false)",
            &[&format!("{}()", names::function(migration)), &sql::latch_body(migration)],
        )
        .await?;
    if !sound.get::<_, bool>(0) {
        out.push("the function of the fence's triggers is not the one that was made".to_owned());
    }
    Ok(out)
}

fn words(member: &Member) -> String {
    let name = &member.name;
    if member.foreign {
        return format!("{name} is a foreign table: writes to its server pass by the fence");
    }
    match member.statement.as_deref() {
        None => format!("the fence's trigger on {name} is missing"),
        Some("A") => format!(
            "a subscription writes into {name}, and the fence's row trigger there is missing or off"
        ),
        Some("D") => format!("the fence's trigger on {name} is disabled"),
        Some(_) => format!(
            "the fence's trigger on {name} does not fire under every session_replication_role"
        ),
    }
}
