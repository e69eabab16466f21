//! The fence on real servers: armed, fired, committed.

mod deadlocks;
mod keeping;
mod opening;
mod passing;
mod switch;
mod told;

use std::time::Duration;

use crossfade_model::{Mode, Register, Table};
use crossfade_postgres::{Client, PostgresStore};
use crossfade_store::{Fence, Fire, StoreError};

use crate::kit::{Db, mappings};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
     INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20) i;
     CREATE TABLE u (id int PRIMARY KEY, v text);
     INSERT INTO u SELECT i, 'x' FROM generate_series(1, 20) i;";

/// A fence that is fired at once or not at all.
const FIRE: Fire = Fire {
    within: Duration::from_secs(10),
    end_blockers: false,
    hold: Duration::from_secs(20),
};

const LONG: Duration = Duration::from_secs(20);

fn open(epoch: u64) -> Register {
    Register::new(Mode::Open, epoch)
}

fn fenced(epoch: u64) -> Register {
    Register::new(Mode::Fenced, epoch)
}

fn given(epoch: u64) -> Register {
    Register::new(Mode::Given, epoch)
}

async fn tables(store: &PostgresStore, names: &[&str]) -> Vec<Table> {
    let mappings = mappings(store, names).await;
    mappings.into_iter().map(|m| m.source).collect()
}

/// A source that is open and whose tables are armed.
async fn armed(db: &Db, names: &[&str]) -> PostgresStore {
    let store = db.store();
    store.make_register("m", open(0)).await.unwrap();
    let tables = tables(&store, names).await;
    store.arm("m", &tables, LONG).await.unwrap();
    store
}

/// The SQLSTATE of a statement, if it failed.
async fn code(client: &Client, sql: &str) -> Option<String> {
    let done = client.batch("writing as an application", sql).await;
    let failed: Option<StoreError> = done.err();
    if failed.is_some() {
        let _ended = client.batch("ending a transaction", "ROLLBACK").await;
    }
    failed.map(|e| e.server_code.unwrap_or(e.what))
}
